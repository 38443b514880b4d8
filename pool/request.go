// Requests: whose backend is wanted, with which session defaults, for which person.
package pool

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Key names the pool a request belongs to: the account that logs in to PostgreSQL, and the database.
type Key struct {
	User, Database string
}

// Setting is a run-time parameter set after the acquire with set_config, e.g. gprxy.user. RESET drops it.
type Setting struct {
	Name, Value string
}

// Parameter is one ParameterStatus as the backend reported it.
type Parameter struct {
	Name, Value string
}

// Request says which backend a session needs.
type Request struct {
	Key
	Password string // of Key.User; used for a new backend only, never kept by the pools

	// Parameters are the client's startup parameters without user and database. They are the session's defaults
	// and may hold "options". Only backends opened with the same ones are used.
	Parameters map[string]string

	// Person is who the session serves. A backend whose database has things that survive DISCARD ALL is reused
	// by the same person only.
	Person string

	// Settings are applied after the acquire, in this order; they bind the backend to nobody.
	Settings []Setting
}

// Stat is the state of one key's pool.
type Stat struct {
	Key
	Open    int // backends connecting, idle, leased or closing
	Leased  int // leases handed out, or being prepared
	Waiting int // requests waiting for POOL_MAX_CONNS or POOL_MAX_TOTAL
}

// loginChecks is how many temporary login connections may exist at once; they come on top of Config.MaxTotal.
const loginChecks = 16

// resetLimit bounds how long a released backend may take to settle its cancels and answer the reset.
const resetLimit = 5 * time.Second

// check refuses what can never be served. NUL ends a string on the wire, so that the rest would become another one.
func (r Request) check() error {
	if r.User == "" || r.Database == "" {
		return fmt.Errorf("%w: the user or the database is missing", ErrBadRequest)
	}
	texts := []string{r.User, r.Database, r.Password}
	for name, value := range r.Parameters {
		texts = append(texts, name, value)
		if strings.EqualFold(name, "replication") {
			return fmt.Errorf("%w: replication connections are not pooled", ErrBadRequest)
		}
		if name != "options" && strings.EqualFold(name, "options") {
			return fmt.Errorf("%w: PostgreSQL knows options in small letters only", ErrBadRequest)
		}
	}
	for _, s := range r.Settings {
		texts = append(texts, s.Name, s.Value)
	}
	if slices.ContainsFunc(texts, func(t string) bool { return strings.ContainsRune(t, 0) }) {
		return fmt.Errorf("%w: a NUL in a name or value", ErrBadRequest)
	}
	return nil
}

// defaults returns the session defaults under the names PostgreSQL knows them by: names are case-insensitive, user
// and database belong to the key, and "_pq_." names are protocol options that end at the proxy. Of two spellings of
// a name the one that sorts last wins, always.
func (r Request) defaults() map[string]string {
	defaults := make(map[string]string, len(r.Parameters))
	for _, name := range slices.Sorted(maps.Keys(r.Parameters)) {
		lower := strings.ToLower(name)
		if lower == "user" || lower == "database" || strings.HasPrefix(lower, "_pq_.") {
			continue
		}
		defaults[lower] = r.Parameters[name]
	}
	return defaults
}

// fingerprint is equal for equal defaults. NUL cannot occur in names and values.
func fingerprint(defaults map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		b.WriteString(name + "\x00" + defaults[name] + "\x00")
	}
	return b.String()
}
