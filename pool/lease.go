// The lease: one session's hold on one backend.
package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Lease is a backend lent to one session, until Release or Discard. Its methods are safe for concurrent use; the
// connection itself belongs to the holder.
type Lease struct {
	pools   *Pools
	account *account
	subpool *subpool
	person  string
	conn    *pgxpool.Conn // not to be touched once the lease has ended
	pg      *pgconn.PgConn
	backend *backend
	reused  bool
	began   time.Time // of the acquire
	waited  time.Duration

	replication Replication
	settings    []Setting // as they were made, for Restamp

	cancelling chan struct{} // one place: held by a running Cancel, and for good by Release

	cancels atomic.Int64 // requests to cancel, counted before they are sent

	mu         sync.Mutex
	parameters []Parameter // guarded by mu
	ended      bool        // guarded by mu; Release or Discard has begun
	unsettled  bool        // guarded by mu; a cancel was sent and PostgreSQL did not say that it is done with it
}

// Conn is the connection to PostgreSQL for the relay, with nothing buffered: *net.TCPConn, *net.UnixConn or *tls.Conn.
// Until the lease ends the holder is its only reader and writer; it must not close it.
func (l *Lease) Conn() net.Conn { return l.backend.wire }

// PID is the backend's process id, as in BackendKeyData and pg_backend_pid().
func (l *Lease) PID() uint32 { return l.pg.PID() }

// Backend is the server's address as connected to, e.g. 127.0.0.1:5432 or a socket's path.
func (l *Lease) Backend() string {
	if l.pools.dialer.network == "unix" {
		return l.pools.dialer.address
	}
	return l.backend.socket.RemoteAddr().String()
}

// CurrentUser is what the backend itself answered to current_user.
func (l *Lease) CurrentUser() string { return l.backend.state.user }

// Waited is how long Acquire took, connecting included.
func (l *Lease) Waited() time.Duration { return l.waited }

// Reused says whether the backend has served a session before.
func (l *Lease) Reused() bool { return l.reused }

// Replicates says whether the backend is a walsender.
func (l *Lease) Replicates() bool { return l.replication != NoReplication }

// SetParameter records a ParameterStatus that the relay saw.
func (l *Lease) SetParameter(name, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parameters = setParameter(l.parameters, Parameter{name, value})
}

// Parameter is what the backend last reported of a parameter, "" if nothing.
func (l *Lease) Parameter(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.parameters {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// reuseLimit is how long a backend that was idle may take for the settings. They need neither locks nor disk, so one that
// takes longer is likely to be on a host that has vanished.
const reuseLimit = 2 * time.Second

// prepare applies the settings, and leaves the connection without bytes of its own and without a reader. A backend that was
// idle answers something in any case: whether PostgreSQL would open it now. That also proves it alive, and
// idle_session_timeout begins anew.
func (l *Lease) prepare(ctx context.Context, settings []Setting) error {
	limit := l.pools.config.ConnectTimeout
	if l.reused {
		limit = min(limit, reuseLimit)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if len(settings) > 0 || l.reused {
		if err := l.apply(ctx, settings); err != nil {
			return err
		}
	} else if err := l.backend.silent(l.pg); err != nil { // a walsender of the whole server takes no SQL that could be asked
		return fmt.Errorf("handing the backend over: %w", err)
	}
	l.parameters, l.settings = slices.Clone(l.backend.observer.parameters), settings
	return nil
}

// apply makes the settings, which may be none. A backend that was idle must be fit to be opened now: see admissionSQL.
func (l *Lease) apply(ctx context.Context, settings []Setting) error {
	columns := settingColumns(settings, l.backend.observer.parameter("server_encoding"))
	if l.reused {
		columns = append(columns, l.backend.admission(l.account.key.User))
	}
	questions := []question{selecting(len(columns), strings.Join(columns, ", "))}
	if !l.reused || l.backend.state.timed {
		questions = untimed(questions...)
	}
	rows, err := l.backend.ask(ctx, l.pg, questions...)
	if err != nil {
		return fmt.Errorf("preparing the backend: %w", err)
	}
	for _, null := range rows[0][:len(settings)] {
		if string(null) != "f" {
			return errors.New("PostgreSQL did not say that it has made a setting")
		}
	}
	if l.reused && string(rows[0][len(settings)]) != "t" {
		return errRevoked
	}
	return nil
}

// settingColumns are a column for each setting. Names and values travel as hex of UTF-8, which no escapes nor the
// session's client_encoding, the client's choice, can touch (nor are they sent back, hence IS NULL), and its search_path
// must not choose the functions. As a simple Query it leaves no unnamed statement behind.
func settingColumns(settings []Setting, encoding string) []string {
	calls := make([]string, len(settings), len(settings)+1)
	for i, s := range settings {
		calls[i] = fmt.Sprintf("pg_catalog.set_config(%s, %s, false) IS NULL", hexLiteral(s.Name), hexLiteral(fit(s.Value, encoding)))
	}
	return calls
}

func hexLiteral(text string) string {
	return fmt.Sprintf("pg_catalog.convert_from(pg_catalog.decode('%x'::pg_catalog.text, 'hex'), 'UTF8')", text)
}

// register makes a lease known to Close; false if Close has begun without it.
func (p *Pools) register(l *Lease) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leases[l] = struct{}{}
	p.busy.Add(1) // while enter's place is still held: never from zero
	return !p.closed
}

// free gives up what the lease held, after its backend went back or was closed.
func (l *Lease) free() {
	p := l.pools
	p.mu.Lock()
	delete(p.leases, l)
	l.subpool.lastUsed = time.Now()
	p.mu.Unlock()
	p.releaseSubpool(l.subpool)
	p.leaveQueue(l.account)
	p.busy.Done()
}

// begin starts the end of the lease, once. From here on it does not count as the person's: who comes back at once would find
// the last one's reset in the way.
func (l *Lease) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.ended = true
	l.pools.leave(l.person)
	return true
}

// drop closes the socket at once and takes the backend out of its pool.
func (l *Lease) drop() {
	l.backend.socket.Close() // below TLS: a close_notify could wait for a peer that does not read
	l.conn.Hijack()
}

// Discard closes the backend at once and frees its place. A cancel in flight may finish on its own. Discard after
// Release, or twice, does nothing.
func (l *Lease) Discard() {
	if !l.begin() {
		return
	}
	l.drop()
	l.free()
}
