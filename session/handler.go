package session

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"gprxy/auth"
	"gprxy/pool"
	"gprxy/session/admission"
	"gprxy/session/refusal"
	"gprxy/session/relay"
	"gprxy/session/socket"
	"gprxy/session/startup"
	"gprxy/store"
)

// Config is what a Handler needs. Fields without a remark must be set.
type Config struct {
	TLS        *tls.Config // nil: TLS is off
	RequireTLS TLSPolicy

	Tokens *auth.Verifier // nil: no login with a token
	Roles  *auth.Roles    // needed with Tokens

	ClientAuth AuthMethod // what clients are asked for that do not choose
	OAuth      OAuth      // needed with Tokens
	Device     Device     // the zero value: no login with a browser

	OnExpiry    ExpiryPolicy
	ExpiryGrace time.Duration // what a transaction has to finish after its token's expiry

	Passwords PasswordLogin
	Service   auth.Login // GPRXY_USER; needed with PasswordService

	// AccountPassword, if set, gives the password of a service account as it is now, false if it is still the one in Roles or
	// Service. It is asked at each login, and again when PostgreSQL has refused what it gave.
	AccountPassword func(account string) (password auth.Secret, known bool)

	Pools  *pool.Pools
	Events *store.DB

	LoggedIn func(session string) // called when a client has its greeting; nil: nobody counts

	Statements relay.Statements // what is recorded of them

	AllowReplication bool // else clients that want to replicate are refused

	StampSetting         bool // tell the backend the person in the setting gprxy.user
	StampApplicationName bool // put the person before application_name

	LoginTimeout time.Duration // from accept to the end of the login
	PeerTimeout  time.Duration // how long a peer's host may not answer while something is sent to it; zero: as the kernel likes
	WaitNotice   time.Duration // how long a client waits for a backend before it is told what for
	Limits       Limits
	Time         TimeLimits
	Log          *slog.Logger
}

// TLSPolicy says which clients may log in without TLS.
type TLSPolicy int

// The zero value lets only clients on this machine log in without TLS.
const (
	TLSOffLoopback TLSPolicy = iota
	TLSAlways
	TLSNever
)

// PasswordLogin says whether people may log in with a database password, and
// which account then serves them.
type PasswordLogin int

// The zero value refuses passwords.
const (
	PasswordOff     PasswordLogin = iota
	PasswordService               // served by Config.Service
	PasswordSelf                  // served by the person's own account
)

// Handler serves client connections. It is safe for concurrent use.
type Handler struct {
	Config
	keys       cancelKeys
	devices    admission.DeviceSlots
	slots      *admission.Slots // of connections that log in
	latecomers *admission.Slots // of those for which there is none: they may still cancel
	clients    clientCount
	condenser  *admission.Condenser
	throttle   *admission.Throttle

	passwordChanges passwordChanges      // of accounts, by sessions
	checks          *admission.FairQueue // of passwords, by PostgreSQL
	draining        context.Context      // ended by Drain
	drain           context.CancelFunc
	loginsClosed    context.Context // ended a little later, see Drain
	closeLogins     context.CancelFunc
}

// NewHandler returns a handler, or what is missing in its configuration. Close ends it when its last ServeConn has returned.
func NewHandler(c Config) (*Handler, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return newHandler(c), nil
}

// check finds what would be a fault in the first session that needs it.
func (c Config) check() error {
	for _, missing := range []struct {
		what string
		is   bool
	}{
		{"Log", c.Log == nil}, {"Events", c.Events == nil}, {"Pools", c.Pools == nil}, {"LoginTimeout", c.LoginTimeout <= 0},
		{"Roles, for Tokens", c.Tokens != nil && c.Roles == nil},
		{"Service, for PasswordService", c.Passwords == PasswordService && c.Service.User == ""},
		{"TLS, for TLSAlways", c.RequireTLS == TLSAlways && c.TLS == nil},
		{"Device.Max, for Device.Login", c.Device.Login != nil && c.Device.Max <= 0},
	} {
		if missing.is {
			return errors.New("the handler's configuration lacks " + missing.what)
		}
	}
	return nil
}

func newHandler(c Config) *Handler {
	h := &Handler{
		Config:     c,
		slots:      admission.NewSlots(c.Limits.Logins, c.Limits.LoginsPerAddress),
		latecomers: admission.NewSlots(LateReaders, lateReadersPerOrigin),
		clients:    clientCount{most: int64(c.Limits.Clients)},
	}
	h.keys.wrong.Most = wrongKeysOrigins
	h.condenser = admission.NewCondenser(prefixName, h.recordCounts)
	h.throttle = admission.NewThrottle(c.Limits.Failures, c.Limits.FailureMemory)
	h.checks = admission.NewFairQueue(pool.LoginChecks)
	// Signals to all sessions, given by Drain alone: nothing is awaited under them.
	h.draining, h.drain = context.WithCancel(context.Background())
	h.loginsClosed, h.closeLogins = context.WithCancel(context.Background())
	return h
}

// arrivalGrace is what a client that was accepted before a drain is given to log
// in and say what it came for. Without it each restart would be an error to those
// who happen to come just then, and to programs that connect for each statement.
const arrivalGrace = time.Second

// Drain ends sessions that rest, and the others as soon as their query and
// transaction are done. Who is still logging in, or has not said anything yet, has
// arrivalGrace for it; then logins are turned away. It waits for nobody.
func (h *Handler) Drain() {
	h.drain()
	time.AfterFunc(arrivalGrace, h.closeLogins)
}

// Close hands over to the log what is only counted yet.
func (h *Handler) Close() { h.condenser.Close() }

// ServeConn serves one client until it leaves or is made to. The caller closes
// conn. When ctx ends the session ends at once.
func (h *Handler) ServeConn(ctx context.Context, conn net.Conn) {
	s := h.newSession(conn)
	defer s.uncountClient()
	defer s.client.closeTLS()
	defer s.recoverFault()
	if s.enterAside(ctx) {
		s.serve(ctx)
	}
}

// enterAside is enter on a goroutine of its own, which takes the stack with it
// that TLS and tokens have made grow: the session's goroutine has none for as long
// as the session lasts.
func (s *session) enterAside(ctx context.Context) (in bool) {
	var login sync.WaitGroup
	login.Go(func() {
		defer s.recoverFault()
		in = s.enter(ctx)
	})
	login.Wait()
	return in
}

// RefuseConn tells the peer of a connection that cannot be served, in place of
// ServeConn: why says what is wrong with what the proxy in front of it sent.
func (h *Handler) RefuseConn(ctx context.Context, conn net.Conn, why error) {
	s := h.newSession(conn)
	err := error(refusal.ProxyHeader(why))
	if h.draining.Err() != nil {
		err = refusal.ErrDraining
	}
	s.recordRefusal(ctx, err)
	s.tell(err)
	var entered bool
	if s.login.slot, entered = h.latecomers.Enter(s.client.prefix, func() { conn.SetReadDeadline(socket.LongAgo) }); !entered {
		s.login.slot = &admission.Slot{}
	}
	defer s.login.slot.Release()
	s.closeRefused(ctx)
}

// enter takes the client from its first byte to the end of its login, and tells
// whether there is a session to relay.
func (s *session) enter(ctx context.Context) bool {
	ctx, done := s.limitLogin(ctx)
	defer done()
	err := s.findSlot()
	defer s.login.slot.Release()
	if err == nil {
		err = s.startup(ctx)
	}
	switch {
	case err == nil && s.asked.cancelKey != nil:
		s.cancel(ctx)
		s.closeRefused(ctx)
		return false
	case err == nil && s.login.late:
		err = refusal.ErrTooManyLogins
	case err == nil:
		err = s.admit(ctx)
	}
	if err != nil {
		s.refuse(ctx, s.whyNot(ctx, err))
	}
	return err == nil
}

// admit lets the client in or says why not. On success the session holds a
// lease, and the client has been told so.
func (s *session) admit(ctx context.Context) error {
	if err := s.mayLogIn(); err != nil {
		return err
	}
	secret, err := s.ask()
	if err != nil {
		return err
	}
	s.login.slot.Pin()
	ctx, watch := startup.WatchDisconnect(ctx, s.client.conn)
	defer s.endDisconnectWatch(watch)
	if err := s.authenticate(ctx, secret); err != nil {
		return startup.Reason(ctx, err)
	}
	if err := s.countClient(); err != nil {
		return err
	}
	if err := s.lease(ctx); err != nil {
		return startup.Reason(ctx, err)
	}
	s.endDisconnectWatch(watch)
	return s.greet()
}
