// What logins have learned of issuers, kept beside the credentials.

package sso

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Habits remember, for an issuer and a client, whether a refresh token needs the person's consent anew. The
// file holds no secret. What goes wrong with it costs a login one more page, never the login.
type Habits struct {
	Path string // empty: nothing is remembered
}

const (
	maxHabits     = 100 // issuers; the oldest are forgotten
	maxHabitsFile = 1 << 18

	consentNeeded  = "needed"  // with prompt=consent it gives a refresh token, without it does not
	consentUseless = "useless" // it gives none either way
)

type habit struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	Consent  string `json:"consent"`
}

func (h habit) of(c Config) bool { return h.Issuer == c.Issuer && h.ClientID == c.ClientID }

// consent is "" for what is not known.
func (h Habits) consent(c Config) string {
	for _, known := range h.read() {
		if known.of(c) {
			return known.Consent
		}
	}
	return ""
}

func (h Habits) read() []habit {
	if h.Path == "" {
		return nil
	}
	f, err := openOwn(h.Path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(f, maxHabitsFile))
	var file struct {
		Issuers []habit `json:"issuers"`
	}
	if err != nil || json.Unmarshal(data, &file) != nil {
		return nil
	}
	return file.Issuers
}

// keepConsent remembers what a login has found out. A file that cannot be written is no reason to fail a login that
// has just been made.
func (h Habits) keepConsent(ctx context.Context, c Config, consent string) {
	if h.Path == "" || h.consent(c) == consent {
		return
	}
	l, err := takeLock(ctx, h.Path)
	if err != nil {
		return
	}
	defer l.release()
	known := slices.DeleteFunc(h.read(), func(old habit) bool { return old.of(c) })
	known = append(known, habit{c.Issuer, c.ClientID, consent})
	known = known[max(0, len(known)-maxHabits):]
	data, err := json.MarshalIndent(map[string]any{"issuers": known}, "", "  ")
	if err != nil {
		return
	}
	fresh := h.Path + ".tmp"
	if os.WriteFile(fresh, append(data, '\n'), 0o600) != nil || os.Rename(fresh, h.Path) != nil {
		_ = os.Remove(fresh) // what is there stays as it is
	}
}

// HabitsBeside are those of the folder that the credentials are in.
func HabitsBeside(credentials string) Habits {
	return Habits{Path: filepath.Join(filepath.Dir(credentials), "issuers")}
}
