// Settings of the pools, checked and completed before anything is opened.
package pool

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Config says where PostgreSQL is and how much of it may be used. Zero limits and times mean the default, if there is one.
type Config struct {
	Host        string // name, address, or the directory of a Unix socket
	Port        uint16 // default 5432
	SSLMode     string // disable, allow, prefer (default), require, verify-ca, verify-full: libpq's meanings
	SSLRootCert string // PEM file, or "system"

	MaxConns int // leases and open backends per Key; default 20
	MaxTotal int // leases and open backends over all keys; default 80

	// MaxPerPerson bounds the leases of one Request.Person over all keys, and the requests that wait for one. Zero is no bound.
	MaxPerPerson int

	AcquireTimeout time.Duration // wait for a free backend; default 10 s
	RestartWait    time.Duration // of that, the wait for a server that has just gone away; zero means none
	ConnectTimeout time.Duration // dial, TLS and login of one backend; default 10 s
	MaxLifetime    time.Duration // a backend older than this is closed when idle or given back; default 1 h
	MaxIdleTime    time.Duration // an idle backend is closed after this; default 10 min
	MaxEmptyTime   time.Duration // idle backends of a database are closed so long after its last session; zero means never

	// Extensions with functions in C that keep nothing of a session, beside those the package knows: their databases'
	// backends may go from person to person. complete adds the known ones.
	StatelessExtensions []string

	Log *slog.Logger // nil discards
}

// sslModes are libpq's, weakest first.
var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

// complete fills the defaults in and reports everything that is wrong at once.
func (c Config) complete() (Config, error) {
	if c.Port == 0 {
		c.Port = 5432
	}
	if c.SSLMode == "" {
		c.SSLMode = "prefer"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var wrong []error
	if c.Host == "" || strings.ContainsAny(c.Host, "\x00,") {
		wrong = append(wrong, errors.New("the host must be one name, address or socket directory"))
	}
	if !slices.Contains(sslModes, c.SSLMode) {
		wrong = append(wrong, fmt.Errorf("unknown sslmode %q: use one of %s", c.SSLMode, strings.Join(sslModes, ", ")))
	}
	names, err := withStateless(c.StatelessExtensions)
	if err != nil {
		wrong = append(wrong, err)
	}
	c.StatelessExtensions = names
	c.MaxConns = orDefault(c.MaxConns, 20, "MaxConns", &wrong)
	c.MaxTotal = orDefault(c.MaxTotal, 80, "MaxTotal", &wrong)
	c.MaxPerPerson = orDefault(c.MaxPerPerson, 0, "MaxPerPerson", &wrong)
	c.AcquireTimeout = orDefault(c.AcquireTimeout, 10*time.Second, "AcquireTimeout", &wrong)
	c.ConnectTimeout = orDefault(c.ConnectTimeout, 10*time.Second, "ConnectTimeout", &wrong)
	c.MaxLifetime = orDefault(c.MaxLifetime, time.Hour, "MaxLifetime", &wrong)
	c.MaxIdleTime = orDefault(c.MaxIdleTime, 10*time.Minute, "MaxIdleTime", &wrong)
	c.MaxEmptyTime = orDefault(c.MaxEmptyTime, 0, "MaxEmptyTime", &wrong)
	c.RestartWait = orDefault(c.RestartWait, 0, "RestartWait", &wrong)
	return c, errors.Join(wrong...)
}

// orDefault returns v, or def for zero; a negative v is added to wrong.
func orDefault[T int | time.Duration](v, def T, name string, wrong *[]error) T {
	if v < 0 {
		*wrong = append(*wrong, fmt.Errorf("%s must not be negative", name))
	}
	if v == 0 {
		return def
	}
	return v
}
