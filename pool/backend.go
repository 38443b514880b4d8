// One backend, and the hooks through which pgxpool opens, offers and closes it.
package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errNoIdle says that pgxpool had no fitting idle backend and was not to open one.
var errNoIdle = errors.New("no idle backend fits")

// backend is what the pools know about a connection beyond pgx. Whoever holds the connection owns it.
type backend struct {
	socket   *socket
	wire     net.Conn // what a session talks on: *tls.Conn, *net.TCPConn or *net.UnixConn
	observer *loginObserver
	state    backendState
	residue  residue
	catalogs string // the snapshot residue was asked with
	person   string // whom it served last
	served   bool   // it was released at least once
}

const backendKey = "gprxy.backend" // in pgconn's CustomData

func backendOf(c *pgx.Conn) *backend {
	b, _ := c.PgConn().CustomData()[backendKey].(*backend)
	return b
}

// attempt travels in the context through pgxpool to its hooks and says what this acquire is for.
type attempt struct {
	evict   bool     // any idle backend will do: it is to be closed
	person  string   // who asks
	opening *opening // nil: idle backends only
}

type attemptKey struct{}

// acquire asks a subpool's pgxpool. The context is not cancellable on purpose: pgxpool would go on opening a backend
// that nobody waits for. An opening watches the caller's context itself.
func (b *subpool) acquire(ctx context.Context, a *attempt) (*pgxpool.Conn, error) {
	return b.pool.Acquire(context.WithValue(context.WithoutCancel(ctx), attemptKey{}, a))
}

// withHooks makes a pool's configuration follow the attempt in the context.
func (p *Pools) withHooks(c *pgxpool.Config) *pgxpool.Config {
	c.BeforeConnect = func(ctx context.Context, config *pgx.ConnConfig) error {
		a, _ := ctx.Value(attemptKey{}).(*attempt)
		if a == nil || a.opening == nil || a.opening.begun {
			return errNoIdle
		}
		a.opening.begun = true
		a.opening.configure(&config.Config)
		return nil
	}
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, p.config.ConnectTimeout)
		defer cancel()
		return ctx.Value(attemptKey{}).(*attempt).opening.introduce(ctx, conn, p.config.StatelessExtensions)
	}
	c.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		a, _ := ctx.Value(attemptKey{}).(*attempt)
		return a != nil && backendOf(conn).fits(a), nil
	}
	c.BeforeClose = func(conn *pgx.Conn) {
		if b := backendOf(conn); b != nil {
			goodbye(b.wire, b.socket)
		}
	}
	return c
}

// fits says whether an idle backend may be handed to this attempt; pgxpool closes one that may not.
func (b *backend) fits(a *attempt) bool {
	switch {
	case b == nil:
		return false
	case a.evict || !b.served:
		return true // about to be closed, or just opened
	case b.residue.personal != "" && b.person != a.person:
		return false
	default:
		return b.socket.quiet() == nil
	}
}

// opening is one attempt to open a backend. onClose gives its room back: when the dial fails or the socket closes.
type opening struct {
	ctx     context.Context // the caller's; its end closes the socket
	dialer  *dialer
	want    security
	request Request
	onClose func()

	begun   bool        // onClose will be called
	dialed  atomic.Bool // pgconn also dials to cancel what it gives up on; that is not wanted and not counted
	backend *backend
	unwatch func() bool // stops watching ctx; false if it has ended
}

// configure fills in whose connection it is and how it is made.
func (o *opening) configure(c *pgconn.Config) {
	o.backend = &backend{observer: &loginObserver{}}
	c.User, c.Password, c.Database = o.request.User, o.request.Password, o.request.Database
	c.DialFunc = o.dial
	c.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		o.backend.observer.r = o.saslLogin(r, w)
		return pgproto3.NewFrontend(o.backend.observer, &startupWriter{w: w, packet: o.request.startupPacket()})
	}
}

// dial opens the socket, TLS included. Network and address come from the dialer.
func (o *opening) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if o.dialed.Swap(true) {
		return nil, errors.New("one connection is enough")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	wire, s, err := o.dialer.connect(ctx, o.want)
	if err != nil {
		o.onClose()
		return nil, err
	}
	s.onClose = o.onClose
	o.backend.socket = s
	o.backend.wire = s.Conn
	if encrypted, ok := wire.(*tls.Conn); ok {
		o.backend.wire = encrypted
	}
	o.unwatch = context.AfterFunc(o.ctx, func() { s.Close() })
	return wire, nil
}

// failure is this package's error for what ended the attempt. PostgreSQL's own has with it what was said before. A server
// that has begun to answer and then takes long is busy with this login alone: with a lock on its database, or with a
// directory that is asked for the password.
func (o *opening) failure(err error) error {
	err = connectError(o.ctx, err)
	switch e := err.(type) {
	case *pgconn.PgError:
		if login := &o.backend.observer.login; login.accepted && !login.done {
			return &LoginError{e, login.greeting}
		}
	case *UnreachableError:
		slow := timedOut(e.Err) && o.backend.observer.spoken.Load()
		e.away = !slow && !distrusted(e.Err)
	}
	return err
}

// introduce asks the new backend who it is.
func (o *opening) introduce(ctx context.Context, conn *pgx.Conn, stateless []string) error {
	pg := conn.PgConn()
	pg.CustomData()[backendKey] = o.backend
	if err := o.backend.observer.checkVersion(); err != nil {
		return err
	}
	if o.request.Replication == PhysicalReplication {
		return o.introduceWalsender()
	}
	return o.backend.introduce(ctx, pg, stateless)
}

// introduceWalsender takes the word of session_authorization for who the backend is: outside of a database there is no SQL,
// and nothing, such as a setting of the role, by which current_user could differ.
func (o *opening) introduceWalsender() error {
	if o.backend.state.user = o.backend.observer.parameter("session_authorization"); o.backend.state.user == "" {
		return errors.New("the new walsender did not say who it is")
	}
	return nil
}
