package session

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"gprxy/auth"
	"gprxy/pool"
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

	Pools  *pool.Pools
	Events *store.DB

	StampSetting         bool // tell the backend the person in the setting gprxy.user
	StampApplicationName bool // append the person to application_name

	LoginTimeout time.Duration // from accept to AuthenticationOk
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
	keys     cancelKeys
	devices  atomic.Int64 // logins with a browser under way
	draining context.Context
	drain    context.CancelFunc
}

// NewHandler returns a handler that lives until its last ServeConn has returned.
func NewHandler(c Config) *Handler {
	h := &Handler{Config: c}
	h.draining, h.drain = context.WithCancel(context.Background())
	return h
}

// Drain turns new logins away, ends sessions that rest, and the others as soon
// as their query and transaction are done. It does not wait for them.
func (h *Handler) Drain() { h.drain() }

// ServeConn serves one client until it leaves or is made to. The caller closes
// conn. When ctx ends the session ends at once.
func (h *Handler) ServeConn(ctx context.Context, conn net.Conn) {
	s := h.newSession(conn)
	defer s.closeTLS()
	defer s.recoverFault()
	if s.enter(ctx) {
		s.relay(ctx)
	}
}

// enter takes the client from its first byte to the end of its login, and tells
// whether there is a session to relay.
func (s *session) enter(ctx context.Context) bool {
	ctx, done := s.limitLogin(ctx)
	defer done()
	err := s.startup(ctx)
	if err == nil && s.cancelKey != nil {
		s.cancel(ctx)
		return false
	}
	if err == nil {
		err = s.admit(ctx)
	}
	if err != nil {
		s.turnAway(ctx, err)
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
	ctx, watch := watchDeparture(ctx, s.conn)
	defer s.endWatch(watch)
	if err := s.authenticate(ctx, secret); err != nil {
		return explain(ctx, err)
	}
	if err := s.lease(ctx); err != nil {
		return explain(ctx, err)
	}
	s.endWatch(watch)
	return s.greet()
}

// endWatch takes over what the client sent while it was watched.
func (s *session) endWatch(w *departureWatch) {
	s.early = w.stop()
	s.conn.SetReadDeadline(s.deadline)
}

// A session is one client connection on its way through the steps.
type session struct {
	*Handler
	id       string
	conn     net.Conn // replaced by the TLS connection after the upgrade
	began    time.Time
	limit    *time.Timer // ends the login at deadline
	deadline time.Time
	client   string // address
	log      *slog.Logger
	secured  string // TLS version, "" in plain text

	negotiated []byte // NegotiateProtocolVersion to send, if any
	asks       AuthMethod
	welcomed   bool // AuthenticationOk has been sent
	protocol   uint32
	parameters map[string]string // as the startup packet has them
	user       string            // whom it names: a wish, until authenticated
	database   string
	cancelKey  *cancelRequest

	recorded bool // session.connected is in the log
	identity auth.Identity
	account  auth.Account
	backend  *pool.Lease
	key      backendKey
	early    []byte // what the client sent before it was let in
}

func (h *Handler) newSession(conn net.Conn) *session {
	now := time.Now()
	id := store.NewSessionID(now)
	client := conn.RemoteAddr().String()
	return &session{
		Handler: h,
		id:      id,
		conn:    conn,
		began:   now,
		client:  client,
		log:     h.Log.With("session", id, "client", client),
	}
}

// limitLogin bounds everything up to AuthenticationOk by one deadline, and by the
// beginning of a drain while the client is still to be heard.
func (s *session) limitLogin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.deadline = s.began.Add(s.LoginTimeout)
	s.limit = time.AfterFunc(time.Until(s.deadline), func() { cancel(errLoginTimeout) })
	s.conn.SetDeadline(s.deadline)
	plain := s.conn
	stop := whenDone(s.draining, func() { plain.SetReadDeadline(longAgo) })
	return ctx, func() { stop(); s.limit.Stop(); cancel(nil) }
}

// extendLogin moves the deadline, for a login that waits for a person.
func (s *session) extendLogin(until time.Time) {
	s.deadline = until
	s.limit.Reset(time.Until(until))
	s.conn.SetDeadline(until)
}

// whenDone runs f once ctx has ended. After stop has returned f neither runs nor
// will.
func whenDone(ctx context.Context, f func()) (stop func()) {
	finished := make(chan struct{})
	prevent := context.AfterFunc(ctx, func() { defer close(finished); f() })
	return func() {
		if !prevent() {
			<-finished
		}
	}
}

// turnAway records why a client is not let in and tells it.
func (s *session) turnAway(ctx context.Context, err error) {
	if s.backend != nil {
		s.keys.remove(s.key)
		s.backend.Discard()
	}
	if s.draining.Err() != nil && errors.Is(err, errLoginTimeout) {
		err = errDraining
	}
	switch {
	case errors.Is(err, errClientGone):
		s.recordLeft(endLeftBeforeLogin)
		return
	case errors.Is(err, errTokenDiscovery):
		s.recordLeft(endTokenDiscovery)
	default:
		s.recordRefusal(ctx, err)
	}
	if s.asks == AuthOAuth && wantsToken(err) {
		if err := s.tellWhereToLogIn(); err != nil {
			s.log.Debug("the client did not wait for the issuer's address", "error", err)
		}
	}
	s.tell(err)
}

// recoverFault ends only this session when gprxy itself is at fault.
func (s *session) recoverFault() {
	fault := recover()
	if fault == nil {
		return
	}
	s.log.Error("the session ended by a fault in gprxy", "fault", fault, "stack", string(debug.Stack()))
	if s.backend != nil {
		s.keys.remove(s.key)
		s.backend.Discard()
	}
	if s.recorded {
		s.Events.Defer(s.event(store.SessionEnded{Reason: endFault, DurationMS: s.milliseconds()}))
	}
}

// closeTLS says goodbye inside TLS, so that the client can tell the end from a cut.
func (s *session) closeTLS() {
	if secured, ok := s.conn.(*tls.Conn); ok {
		secured.SetWriteDeadline(time.Now().Add(farewellTimeout))
		if err := secured.CloseWrite(); err != nil {
			s.log.Debug("the client did not wait for the end of TLS", "error", err)
		}
	}
}

func (s *session) event(fact store.Fact) store.Event {
	return store.Event{Time: time.Now(), Session: s.id, Fact: fact}
}

func (s *session) milliseconds() float64 {
	return float64(time.Since(s.began).Microseconds()) / 1000
}
