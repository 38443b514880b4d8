// Requests: whose backend is wanted, with which session defaults, for which person.
package pool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Key names the pool a request belongs to: the account that logs in to PostgreSQL, and the database.
type Key struct {
	User, Database string
}

// Setting is a run-time parameter set after the acquire with set_config, e.g. gprxy.user. RESET drops it. What the database's
// encoding lacks of its value is escaped, see ASCII.
type Setting struct {
	Name, Value string
}

// Parameter is a run-time parameter as it stands in a startup packet, or in a ParameterStatus.
type Parameter struct {
	Name, Value string
}

// Replication is what a backend is a walsender for, if it is one.
type Replication int

// The zero value is an ordinary backend.
const (
	NoReplication       Replication = iota
	PhysicalReplication             // of the whole server: the backend is in no database
	LogicalReplication              // of one database
)

// Request says which backend a session needs.
type Request struct {
	Key
	Password string // of Key.User; used for a new backend only, never kept by the pools

	// Parameters are the client's startup parameters in its own order and spelling, without user and database. They
	// are the session's defaults and may hold "options". Only backends opened with the same ones are used.
	Parameters []Parameter

	// Replication asks for a walsender, which serves this request alone. Parameters then hold "replication".
	Replication Replication

	// Person is who the session serves. A backend whose database has things that survive DISCARD ALL is reused
	// by the same person only.
	Person string

	// Tell, if set, is called when Acquire has waited for TellAfter, and Announce has returned nil, once and from another
	// goroutine. Acquire returns after it has.
	Tell      func(Wait)
	TellAfter time.Duration

	// Settings are applied after the acquire, in this order; they bind the backend to nobody.
	Settings []Setting

	// Announce, if set, is told what comes next before it comes: with nil, that the request may wait in line or for a new
	// backend; with the lease, that this backend is to serve it, before a byte of the request reaches that backend. Of the
	// lease it may only ask what it is. It is told again when a backend proves dead. Its error ends the acquire, is
	// returned as it is, and leaves the backend as it was.
	Announce func(context.Context, *Lease) error
}

// Stat is the state of one key's pool.
type Stat struct {
	Key
	Open    int // backends connecting, idle, leased or closing
	Leased  int // leases handed out, or being prepared
	Waiting int // requests waiting for POOL_MAX_CONNS or POOL_MAX_TOTAL
}

// LoginChecks is how many temporary login connections may exist at once; they come on top of Config.MaxTotal.
const LoginChecks = 16

// resetLimit bounds how long a released backend may take to settle its cancels and answer the reset.
const resetLimit = 5 * time.Second

// check refuses what can never be served. NUL ends a string on the wire, so that the rest would become another one.
func (r Request) check() error {
	if r.User == "" || r.Database == "" && r.Replication != PhysicalReplication {
		return fmt.Errorf("%w: the user or the database is missing", ErrBadRequest)
	}
	if r.Replication != NoReplication != slices.ContainsFunc(r.Parameters, Parameter.replicates) {
		return fmt.Errorf("%w: the parameters do not say what the backend replicates", ErrBadRequest)
	}
	texts := []string{r.User, r.Database, r.Password}
	for _, p := range r.Parameters {
		if p.belongsElsewhere() {
			return fmt.Errorf("%w: %q is no run-time parameter", ErrBadRequest, p.Name)
		}
		texts = append(texts, p.Name, p.Value)
	}
	for _, s := range r.Settings {
		texts = append(texts, s.Name, s.Value)
	}
	if slices.ContainsFunc(texts, func(t string) bool { return strings.ContainsRune(t, 0) }) {
		return fmt.Errorf("%w: a NUL in a name or value", ErrBadRequest)
	}
	if len(r.startupPacket()) > maxStartupPacket {
		return fmt.Errorf("%w: the startup parameters are too long", ErrBadRequest)
	}
	return nil
}

// belongsElsewhere knows what a startup packet has beside run-time parameters (src/backend/tcop/backend_startup.c,
// ProcessStartupPacket). user is the one that matters: of two, the last one logs in.
func (p Parameter) belongsElsewhere() bool {
	return p.Name == "" || p.Name == "user" || p.Name == "database" || strings.HasPrefix(p.Name, "_pq_.")
}

func (p Parameter) replicates() bool { return p.Name == "replication" }

// fingerprint is equal for parameters that make the same session defaults.
func fingerprint(parameters []Parameter) string {
	var b strings.Builder
	for _, p := range canonical(parameters) {
		b.WriteString(p.Name + "\x00" + p.Value + "\x00") // NUL cannot occur in names and values
	}
	return b.String()
}

// canonical takes away what makes no difference: the case of the names, and the order of the parameters, but for those of
// one name, which PostgreSQL checks one after the other and of which the last one counts. With client_min_messages
// everything stays as it is: that decides which notices the parameters behind it give.
func canonical(parameters []Parameter) []Parameter {
	folded := make([]Parameter, len(parameters))
	for i, p := range parameters {
		folded[i] = Parameter{foldName(p.Name), p.Value}
		if folded[i].Name == "client_min_messages" {
			return parameters
		}
	}
	slices.SortStableFunc(folded, func(a, b Parameter) int { return strings.Compare(currentName(a.Name), currentName(b.Name)) })
	return folded
}

// foldName is what PostgreSQL compares names of parameters by: ASCII letters alone are folded. "options" is none: in
// capitals it is a parameter that does not exist.
func foldName(name string) string {
	folded := []byte(name)
	for i, c := range folded {
		if c >= 'A' && c <= 'Z' {
			folded[i] = c - 'A' + 'a'
		}
	}
	if string(folded) == "options" {
		return name
	}
	return string(folded)
}

// currentName knows the names that PostgreSQL takes for another parameter's (src/backend/utils/misc/guc.c,
// map_old_guc_names).
func currentName(folded string) string {
	switch folded {
	case "sort_mem":
		return "work_mem"
	case "vacuum_mem":
		return "maintenance_work_mem"
	case "force_parallel_mode":
		return "debug_parallel_query"
	case "ssl_ecdh_curve":
		return "ssl_groups"
	}
	return folded
}
