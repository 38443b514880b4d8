// Package tunnel is the client's side of a gprxy elsewhere: gprxy tunnel serves tools on a person's machine with it.
package tunnel

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
	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/relay"
	"gprxy/session/socket"
)

// A Tunnel is one person's way to a gprxy elsewhere, for clients on this machine
// that can do neither tokens nor verified TLS. Towards them it asks for nothing;
// towards gprxy it speaks TLS and answers the question for a password with a
// token.
//
//	client                      tunnel                          gprxy
//	  | SSLRequest                |                                |
//	  |-------------------------->|                                |
//	  | S and TLS with NearTLS,   |                                |
//	  | or N, go on without       |                                |
//	  |<--------------------------|                                |
//	  | StartupMessage            | a token that is still good     |
//	  |-------------------------->| TLS, its certificate verified  |
//	  |                           |------------------------------->|
//	  |                           | StartupMessage                 |
//	  |                           |------------------------------->|
//	  |                           |        CleartextPassword asked |
//	  |                           |<-------------------------------|
//	  |                           | the token                      |
//	  |                           |------------------------------->|
//	  |  AuthenticationOk ... Ready, or the ErrorResponse, as it is |
//	  |<--------------------------|--------------------------------|
//	  |===========================|================================|
//	  |        the relay: both directions, unchanged               |
//
// A CancelRequest goes to gprxy over TLS like everything else: the key is gprxy's.
//
// Safe for concurrent use.
type Tunnel struct {
	config   Config
	draining context.Context // ended by Drain
	drain    context.CancelFunc
	open     atomic.Int64 // connections of clients
}

// Config says where a tunnel leads and for whom. What has no remark must be set.
type Config struct {
	Network string      // of Address: tcp or unix; "": tcp
	Address string      // of the gprxy at the other end, host:port or a socket
	TLS     *tls.Config // what its certificate is to be; nil: no TLS
	OrPlain func() bool // whether to go on without TLS if it offers none; nil: no
	NearTLS *tls.Config // for clients that insist on TLS even here; nil: they are told that there is none

	User     string // whom to ask for; "": whom the client names
	Database string // for clients that name none; "": gprxy takes the user's name

	// Token gives what to log in with. It is asked for each connection, by
	// several at once. What its error says is shown to the client.
	Token func(ctx context.Context) (auth.Secret, error)

	LoginTimeout time.Duration // from accept to the end of the login
	Log          *slog.Logger
}

// New checks the configuration; its error names what is missing. A Tunnel has nothing to close: who serves connections with it
// waits for them.
func New(c Config) (*Tunnel, error) {
	for _, missing := range []struct {
		what string
		is   bool
	}{
		{"Address", c.Address == ""}, {"Token", c.Token == nil}, {"LoginTimeout", c.LoginTimeout <= 0}, {"Log", c.Log == nil},
	} {
		if missing.is {
			return nil, errors.New("the tunnel's configuration lacks " + missing.what)
		}
	}
	return newTunnel(c), nil
}

func newTunnel(c Config) *Tunnel {
	t := &Tunnel{config: c}
	t.draining, t.drain = context.WithCancel(context.Background()) // a signal: nothing is awaited under it
	return t
}

// Whoever is on this machine may connect without a word of proof. This many are
// more than any tool opens, and less than what hurts; as many again may come to
// cancel or to be told so.
const maxClients = 256

// Drain turns new clients away, ends connections that rest, and the others as
// soon as their query and transaction are done. It does not wait for them.
func (t *Tunnel) Drain() { t.drain() }

// Check tells whether gprxy can be reached and shows the right certificate. It
// logs nobody in and leaves no event there.
func (t *Tunnel) Check(ctx context.Context) error {
	far, err := t.dial(ctx)
	if err != nil {
		return err
	}
	return far.Close()
}

// ServeConn serves one client until it leaves or is made to. The caller closes
// conn. When ctx ends the connection ends at once.
func (t *Tunnel) ServeConn(ctx context.Context, conn net.Conn) {
	c := &client{tunnel: t, near: conn, began: time.Now()}
	c.log = t.config.Log.With("client", nearName(conn))
	c.place = t.open.Add(1)
	defer c.leave()
	if c.place <= 2*maxClients && c.enter(ctx) {
		c.relay(ctx)
	}
}

// client is one connection of a client on its way through the tunnel.
type client struct {
	tunnel *Tunnel
	near   net.Conn // the client's
	far    net.Conn // gprxy's; nil until dialled, closed by leave
	began  time.Time
	log    *slog.Logger
	place  int64 // how many were open when it came, itself included

	packet   []byte // startup packet or CancelRequest, as it goes to gprxy
	isCancel bool
	legacy   bool // the client speaks protocol 2
	status   byte // of the transaction, as gprxy's greeting has it
	early    []byte
}

// nearName is what log lines call a client. On a Unix socket it has no name.
func nearName(conn net.Conn) string {
	if conn.RemoteAddr().Network() == "unix" {
		return "unix"
	}
	return conn.RemoteAddr().String()
}

// enter takes the client from its first byte to the end of its login, and tells
// whether there is something to relay.
func (c *client) enter(ctx context.Context) bool {
	ctx, done := c.limitLogin(ctx)
	defer done()
	err := c.readStartup(ctx)
	if err == nil && c.isCancel {
		c.forwardCancel(ctx)
		return false
	}
	if err == nil && c.place > maxClients {
		err = refusal.TunnelFull(maxClients)
	}
	if err == nil {
		err = c.login(ctx)
	}
	if err != nil {
		c.refuse(tunnelReason(ctx, err))
		return false
	}
	c.log.Info("connected", "took", time.Since(c.began).Round(time.Millisecond))
	return true
}

// limitLogin bounds everything up to the relay by one deadline and by the
// beginning of a drain.
func (c *client) limitLogin(ctx context.Context) (context.Context, func()) {
	deadline := c.began.Add(c.tunnel.config.LoginTimeout)
	near := c.near // the socket itself, whatever comes to lie over it
	near.SetDeadline(deadline)
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, expire := context.WithDeadlineCause(ctx, deadline, refusal.ErrTunnelTimeout)
	stopDrain := socket.WhenDone(c.tunnel.draining, func() { cancel(refusal.ErrTunnelStopped) })
	stopRead := socket.WhenDone(ctx, func() { near.SetReadDeadline(socket.LongAgo) })
	return ctx, func() { stopDrain(); stopRead(); expire(); cancel(nil) }
}

// relay joins both sides until one ends or the tunnel does.
func (c *client) relay(ctx context.Context) {
	r := relay.New(c.near, c.far, c.status)
	r.OnFault = c.logFault
	c.near.SetDeadline(time.Time{})
	stopDrain := socket.WhenDone(c.tunnel.draining, func() { r.Drain(refusal.ErrTunnelStopped) })
	stopEnd := socket.WhenDone(ctx, func() { r.End(refusal.ErrTunnelStopped) })
	why := r.Run(c.early)
	stopDrain()
	stopEnd()
	r.RestoreDeadlines()
	c.sayGoodbye(r, why)
	passed := r.Figures()
	c.log.Info("ended", "duration", time.Since(c.began).Round(time.Millisecond), "bytes_in", passed.BytesIn, "bytes_out", passed.BytesOut)
}

// How long a client, or gprxy, may take for the last message.
const farewellTimeout = 2 * time.Second

// terminate is the client's goodbye, which the relay keeps to itself.
var terminate = []byte{wire.Terminate, 0, 0, 0, wire.LengthSize}

// sayGoodbye tells each side what it would not learn from the other. A client
// that vanished vanishes for gprxy too, which then cancels what was running.
func (c *client) sayGoodbye(r *relay.Relay, why error) {
	_, ours := errors.AsType[*refusal.Error](why)
	if (ours || errors.Is(why, relay.ErrTerminate)) && r.BetweenRequests() {
		c.far.SetWriteDeadline(time.Now().Add(farewellTimeout))
		if _, err := c.far.Write(terminate); err != nil {
			c.log.Debug("gprxy did not wait for the goodbye", "error", err)
		}
	}
	if !r.CanTell() {
		return
	}
	switch {
	case ours:
		c.tell(why)
	case errors.Is(why, relay.ErrBackendGone) && !r.BackendSaidWhy():
		c.tell(refusal.ErrTunnelLost)
	case errors.Is(why, relay.ErrFault):
		c.tell(refusal.ErrTunnelFault)
	}
}

// leave gives back what the connection holds, also when gprxy itself is at fault.
func (c *client) leave() {
	if fault := recover(); fault != nil {
		c.logFault(fault)
	}
	if c.far != nil {
		c.far.Close()
	}
	c.tunnel.open.Add(-1)
}

func (c *client) logFault(fault any) {
	c.log.Error("the connection ended by a fault in gprxy", "fault", fault, "stack", string(debug.Stack()))
}
