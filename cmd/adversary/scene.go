// What stands around the conversations: PostgreSQL that logs all it does, an identity provider, and lanes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/pool/pooltest"
)

const (
	account       = "people" // the service account of everybody
	accountSecret = "people-secret"
	role          = "PEOPLE"
	backendsLimit = 60 * time.Second // for the last backend to have worked off what it was sent
)

// A scene is one PostgreSQL and the lanes on it. Lanes are played at once, each by one goroutine.
type scene struct {
	major    int
	dir      string
	postgres *pooltest.Server
	issuer   *authtest.Issuer
	tokens   *auth.Verifier
	log      string // PostgreSQL's, as CSV
	lanes    []*lane
}

// A lane is a database that one gprxy serves at a time, and another that is reached directly.
type lane struct {
	*scene
	database, mirror string
	rounds           int
	playing          string   // the conversation under way, or the one at which PostgreSQL crashed
	clean            []string // what a new session's canary says
}

// logging makes PostgreSQL tell each text that it parses, plans and runs, when it is done with it, and each error with its text.
var logging = map[string]string{
	"logging_collector":          "on",
	"log_destination":            "csvlog",
	"log_directory":              "told",
	"log_filename":               "told.log",
	"log_rotation_age":           "0",
	"log_rotation_size":          "0",
	"log_statement":              "all",
	"log_min_duration_statement": "0",
	"max_locks_per_transaction":  "256",
}

func openScene(ctx context.Context, major, lanes int, progress io.Writer) (s *scene, err error) {
	s = &scene{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	options := pooltest.Options{Settings: logging, Progress: progress}
	if major != installed {
		if options.BinDir, err = pooltest.Release(ctx, major, progress); err != nil {
			return s, err
		}
	}
	if s.dir, err = os.MkdirTemp("", "gprxy-adversary-"); err != nil {
		return s, fmt.Errorf("make a folder for the event logs: %w", err)
	}
	if s.issuer, err = authtest.New(authtest.Options{}); err != nil {
		return s, err
	}
	if s.tokens, err = auth.NewVerifier(auth.VerifierConfig{Issuer: s.issuer.URL(), Audience: s.issuer.Audience()}); err != nil {
		return s, err
	}
	// The account's password is asked for in clear, so that a direct session can be begun by hand.
	options.UserAuth = map[string]string{account: "password"}
	if s.postgres, err = pooltest.Start(ctx, options); err != nil {
		return s, fmt.Errorf("start PostgreSQL %d: %w", major, err)
	}
	return s, s.furnish(ctx, lanes)
}

func (s *scene) furnish(ctx context.Context, lanes int) error {
	if err := s.postgres.CreateUser(ctx, account, accountSecret); err != nil {
		return err
	}
	rows, err := s.postgres.Query(ctx, "postgres",
		"select current_setting('data_directory'), current_setting('server_version_num')::int / 10000")
	if err != nil {
		return err
	}
	s.log = filepath.Join(rows[0][0], "told", "told.csv")
	if s.major, err = strconv.Atoi(rows[0][1]); err != nil {
		return err
	}
	for i := range lanes {
		l := &lane{scene: s, database: fmt.Sprintf("lane%d", i), mirror: fmt.Sprintf("mirror%d", i)}
		for _, database := range []string{l.database, l.mirror} {
			if err := s.furnishDatabase(ctx, database); err != nil {
				return err
			}
		}
		if l.clean, err = l.directCanary(ctx); err != nil {
			return err
		}
		s.lanes = append(s.lanes, l)
	}
	return nil
}

func (s *scene) furnishDatabase(ctx context.Context, database string) error {
	if err := s.postgres.Exec(ctx, "CREATE DATABASE "+database); err != nil {
		return err
	}
	_, err := s.postgres.Query(ctx, database, `
		CREATE TABLE items (n int PRIMARY KEY);
		INSERT INTO items SELECT generate_series(1, 20);
		CREATE TABLE sink (n int);
		GRANT ALL ON items, sink TO `+account)
	return err
}

// token is a login of a person.
func (s *scene) token(person string) string {
	return s.issuer.Token(authtest.Claims{"email": person, "roles": []string{role}})
}

func (s *scene) close() error {
	var problems []error
	if s.postgres != nil {
		problems = append(problems, s.postgres.Stop())
	}
	if s.tokens != nil {
		s.tokens.Close()
	}
	if s.issuer != nil {
		problems = append(problems, s.issuer.Close())
	}
	if s.dir != "" {
		problems = append(problems, os.RemoveAll(s.dir))
	}
	return errors.Join(problems...)
}

// awaitNoBackends waits until PostgreSQL has worked off what clients of these databases sent it.
func (l *lane) awaitNoBackends(ctx context.Context) error {
	for deadline := time.Now().Add(backendsLimit); ; {
		rows, err := l.postgres.Query(ctx, "postgres", fmt.Sprintf(
			"select count(*) from pg_stat_activity where usename = '%s' and datname in ('%s', '%s')", account, l.database, l.mirror))
		switch {
		case err != nil:
			return err
		case rows[0][0] == "0":
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("a backend of %s goes on after %v", l.database, backendsLimit)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// toldSince reads what PostgreSQL has logged from an offset on, complete up to now.
func (l *lane) toldSince(ctx context.Context, offset int64) (string, error) {
	// What one process has logged before another does stands before it: the collector has one pipe.
	sentinel := fmt.Sprintf("select 'all is told of %s, round %d, %d'", l.database, l.rounds, time.Now().UnixNano())
	if _, err := l.postgres.Query(ctx, "postgres", sentinel); err != nil {
		return "", err
	}
	for deadline := time.Now().Add(backendsLimit); ; {
		text, err := readFrom(l.log, offset)
		if err != nil {
			return "", fmt.Errorf("read PostgreSQL's log: %w", err)
		}
		if at := strings.Index(text, sentinel); at >= 0 {
			return text[:strings.LastIndexByte(text[:at], '\n')+1], nil
		}
		if time.Now().After(deadline) {
			return "", errors.New("PostgreSQL's log is not written")
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func readFrom(path string, offset int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(file)
	return string(text), err
}

// told is how long PostgreSQL's log is now, which is before all that comes.
func (s *scene) told() (int64, error) {
	info, err := os.Stat(s.log)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
