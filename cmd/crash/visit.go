// A visit: one connection of a client, how it logs in, and what it is told.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// visit is what one connection was told. It belongs to its client until the round is over.
type visit struct {
	login
	address string // of the client's socket; "" if it got no connection

	admitted  bool
	pid       uint32 // as BackendKeyData had it
	refused   string // SQLSTATE, if it was told one before it was in
	cancelled bool   // a cancel request of its was served before the kill

	sent []int64             // rows it may have written
	kept []int64             // rows it was told are stored
	told map[int64]time.Time // when it was told so
	gone []int64             // rows that cannot be: refused, rolled back, or never committed
}

// haste is how a client may leave: one in so many does, at a random moment up to the longest, with FIN or RST.
const (
	hasty       = 5
	longestStay = 40 * time.Millisecond
	visitLimit  = 15 * time.Second
)

// visit is one connection, from its first packet to its end.
func (r *round) visit(ctx context.Context, random *rand.Rand) {
	ctx, done := context.WithTimeout(ctx, visitLimit)
	defer done()
	v := &visit{login: r.pickLogin(random), told: map[int64]time.Time{}}
	defer r.note(v)
	config, err := r.config(v, random)
	if err != nil {
		panic(err) // the text it parses is ours
	}
	if v.login.knocks {
		r.knock(ctx, config, random)
		return
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
			v.refused = refused.Code
		}
		if v.refused == "" {
			_ = pause(ctx, time.Millisecond) // a dead server is not to be stormed
		}
		return
	}
	v.admitted, v.pid = true, conn.PID()
	r.once.Do(func() { close(r.loggedIn) })
	g := &guest{round: r, visit: v, conn: conn, random: random}
	g.work(ctx)
	_ = conn.Close(ctx) // it may be gone
}

// config is how the client connects: with or without TLS, patient or not.
func (r *round) config(v *visit, random *rand.Rand) (*pgconn.Config, error) {
	// Every name that pgconn would take from the environment or a file is given.
	config, err := pgconn.ParseConfig("host=127.0.0.1 port=1 user=x password=x dbname=x sslmode=disable application_name=crash " +
		"target_session_attrs=any")
	if err != nil {
		return nil, err
	}
	address, err := net.ResolveTCPAddr("tcp", r.address)
	if err != nil {
		return nil, fmt.Errorf("read gprxy's address: %w", err)
	}
	config.Host, config.Port = address.IP.String(), uint16(address.Port)
	config.User, config.Password, config.Database = v.user, v.password, v.database
	if v.parameter != "" {
		config.RuntimeParams[v.parameter] = "x"
	}
	if random.IntN(4) == 0 {
		config.TLSConfig = r.tls
	}
	leaves := time.Duration(0)
	if random.IntN(hasty) == 0 {
		leaves = time.Duration(1 + random.Int64N(int64(longestStay)))
	}
	reset := random.IntN(2) == 0
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if v.address == "" { // the next is a cancel request's
			v.address = conn.LocalAddr().String()
			leaveAfter(conn.(*net.TCPConn), leaves, reset)
		}
		return conn, nil
	}
	return config, nil
}

// leaveAfter closes conn under its user's hands. That it may be closed already does no harm.
func leaveAfter(conn *net.TCPConn, stay time.Duration, reset bool) {
	if stay == 0 {
		return
	}
	time.AfterFunc(stay, func() {
		if reset {
			_ = conn.SetLinger(0)
		}
		conn.Close()
	})
}

// knock is a connection that does not get as far as a startup packet.
func (r *round) knock(ctx context.Context, config *pgconn.Config, random *rand.Rand) {
	conn, err := config.DialFunc(ctx, "tcp", r.address)
	if err != nil {
		_ = pause(ctx, time.Millisecond)
		return
	}
	defer conn.Close()
	noise := [][]byte{
		{},
		{0, 0, 0, 8, 4},
		{0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f},
		{0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0},
		[]byte("GET / HTTP/1.1\r\nHost: gprxy\r\n\r\n"),
		{0, 0, 0, 16, 4, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 1, 2, 3, 4}, // cancels nobody
	}
	_, _ = conn.Write(noise[random.IntN(len(noise))])
	_ = pause(ctx, time.Millisecond)
}
