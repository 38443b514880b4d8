// One gprxy in this process, as start puts it together: listener, sessions, pool and event log.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"gprxy/auth"
	"gprxy/listener"
	"gprxy/pool"
	"gprxy/session"
	"gprxy/session/relay"
	"gprxy/store"
)

const (
	hurryLimit = 10 * time.Second // for sessions to end when the round is over
	closeLimit = time.Minute
	maxText    = 64 << 10
)

// proxy is a running gprxy. Its lane's goroutine owns it.
type proxy struct {
	addr    string
	log     string // path of the event log
	events  *store.DB
	pools   *pool.Pools
	handler *session.Handler
	server  *listener.Server
	serving chan error
}

// startProxy has one backend for all: each session gets the one that the last has left.
func (l *lane) startProxy(ctx context.Context, strict bool) (p *proxy, err error) {
	p = &proxy{log: filepath.Join(l.dir, fmt.Sprintf("%s-%d.db", l.database, l.rounds)), serving: make(chan error, 1)}
	logger := slog.New(slog.DiscardHandler)
	mapping := map[string]auth.Login{role: {User: account, Password: accountSecret}}
	roles, err := auth.NewRoles(auth.RolesConfig{Mapping: mapping})
	if err != nil {
		return nil, err
	}
	if p.events, err = store.Open(ctx, p.log, store.Options{Log: logger}); err != nil {
		return nil, err
	}
	one := pool.Config{Host: "127.0.0.1", Port: l.postgres.Port, SSLMode: "disable", MaxConns: 1, AcquireTimeout: loginLimit, Log: logger}
	if p.pools, err = pool.New(one); err != nil {
		return nil, errors.Join(err, p.events.Close(ctx))
	}
	p.handler, err = session.NewHandler(session.Config{
		Tokens: l.tokens, Roles: roles, StampSetting: true, Pools: p.pools, Events: p.events, Log: logger,
		LoginTimeout: loginLimit, WaitNotice: loginLimit, PeerTimeout: loginLimit,
		Statements: relay.Statements{Record: relay.RecordText, Strict: strict, MaxText: maxText},
	})
	if err != nil {
		return nil, errors.Join(err, p.pools.Close(ctx), p.events.Close(ctx))
	}
	p.server = &listener.Server{Handle: p.handler.ServeConn, Refuse: p.handler.RefuseConn, Log: logger}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, p.pools.Close(ctx), p.events.Close(ctx))
	}
	p.addr = socket.Addr().String()
	go func() { p.serving <- p.server.Serve(ctx, socket) }()
	return p, nil
}

// close lets sessions end, and then everything.
func (p *proxy) close(ctx context.Context) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer done()
	hurry, stop := context.WithTimeout(ctx, hurryLimit)
	defer stop()
	_ = p.server.Shutdown(hurry, hurryLimit) // sessions that do not end are cut off, and recorded so
	err := <-p.serving
	if errors.Is(err, listener.ErrStopped) {
		err = nil
	}
	p.handler.Close()
	return errors.Join(err, p.pools.Close(ctx), p.events.Close(ctx))
}
