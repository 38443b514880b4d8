// The credentials file: who is logged in where.

package sso

import (
	"context"
	"os"
	"path/filepath"
	"slices"
)

// Store keeps logins in a file that only its owner can read; the zero value is
// ~/.gprxy/credentials. Any number of processes may use one file at once: reading
// takes no lock, as the file is replaced as a whole; every change is made under Path.lock.
type Store struct {
	Path string // empty: ~/.gprxy/credentials
}

// Load returns the login at an issuer. What is empty may be anything, as long
// as only one login fits; otherwise the error is an *AmbiguousError, or a *NoLoginError if there is none.
func (s Store) Load(ctx context.Context, issuer, clientID, audience string) (Tokens, error) {
	path, err := s.path()
	if err != nil {
		return Tokens{}, err
	}
	list, err := readLogins(path)
	if err != nil {
		return Tokens{}, err
	}
	wanted := Tokens{Issuer: issuer, ClientID: clientID, Audience: audience}
	return choose(path, list, wanted)
}

func choose(path string, list []Tokens, wanted Tokens) (Tokens, error) {
	var fitting []Tokens
	for _, t := range list {
		switch {
		case t.sameLogin(wanted):
			return t, nil
		case fits(wanted.Issuer, t.Issuer) && fits(wanted.ClientID, t.ClientID) && fits(wanted.Audience, t.Audience):
			fitting = append(fitting, t)
		}
	}
	switch len(fitting) {
	case 0:
		return Tokens{}, &NoLoginError{Path: path, Issuer: wanted.Issuer}
	case 1:
		return fitting[0], nil
	}
	return Tokens{}, &AmbiguousError{Logins: fitting}
}

func fits(wanted, is string) bool { return wanted == "" || wanted == is }

// All returns every login, in the order in which they were first made; none is no error.
func (s Store) All(ctx context.Context) ([]Tokens, error) {
	path, err := s.path()
	if err != nil {
		return nil, err
	}
	return readLogins(path)
}

// Save puts a login in the place of the one with its issuer, client and
// audience, or beside the others. It is durable when Save returns.
func (s Store) Save(ctx context.Context, t Tokens) error {
	return s.change(ctx, func(list []Tokens) []Tokens { return put(list, t) })
}

// Delete forgets the login with t's issuer, client and audience; with the last
// one the file goes. That there is none is no error.
func (s Store) Delete(ctx context.Context, t Tokens) error {
	path, err := s.path()
	if err != nil {
		return err
	}
	if list, err := readLogins(path); err != nil || !slices.ContainsFunc(list, t.sameLogin) {
		return err
	}
	return s.change(ctx, func(list []Tokens) []Tokens { return slices.DeleteFunc(list, t.sameLogin) })
}

// put replaces or appends.
func put(list []Tokens, t Tokens) []Tokens {
	if n := slices.IndexFunc(list, t.sameLogin); n >= 0 {
		list[n] = t
		return list
	}
	return append(list, t)
}

// change rewrites the file under its lock.
func (s Store) change(ctx context.Context, f func([]Tokens) []Tokens) error {
	path, err := s.path()
	if err != nil {
		return err
	}
	l, err := takeLock(ctx, path)
	if err != nil {
		return err
	}
	defer l.release()
	list, err := readLogins(path)
	if err != nil {
		return err
	}
	w, err := replace(path)
	if err != nil {
		return err
	}
	return w.commit(f(list))
}

func (s Store) path() (string, error) {
	if s.Path != "" {
		return s.Path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", &FileError{Path: "~/.gprxy/credentials", What: "has no place", Fix: "set HOME", Err: err}
	}
	return filepath.Join(home, ".gprxy", "credentials"), nil
}
