// Login checks, unreachable servers and callers that give up.
package pool_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gprxy/pool"
)

func TestCheckLoginAsksPostgreSQL(t *testing.T) {
	p := newPools(t, config())
	for _, row := range []struct {
		name    string
		request pool.Request
		code    string // PostgreSQL's refusal; empty: accepted
	}{
		{"SCRAM", request(), ""},
		{"SCRAM, wrong password", request(password("wrong")), "28P01"},
		{"SCRAM, no password", request(password("")), "28P01"},
		{"MD5", request(user("old")), ""},
		{"MD5, wrong password", request(user("old"), password("wrong")), "28P01"},
		{"clear text", request(user("clear")), ""},
		{"clear text, wrong password", request(user("clear"), password("wrong")), "28P01"},
		{"unknown user", request(user("nobody")), "28P01"},
		{"unknown database", request(database("nowhere")), "3D000"},
		{"TLS needed", request(user("tlsonly")), "28000"},
		{"parameters are not used", request(parameter("work_mem", "much")), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := p.CheckLogin(t.Context(), row.request)
			if row.code == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if row.code != "" {
				wantCode(t, err, row.code)
			}
		})
	}
}

func TestALoginThatNeededNoPasswordProvesNothing(t *testing.T) {
	p := newPools(t, config())
	if err := p.CheckLogin(t.Context(), request(user("open"), password("anything"))); !errors.Is(err, pool.ErrNoPasswordAsked) {
		t.Errorf("got %v", err)
	}
	// As a service account it is fine.
	release(t, acquire(t, p, request(user("open"))))
}

func TestSuperuserIsRecognised(t *testing.T) {
	p := newPools(t, config())
	for name, row := range map[string]struct {
		request pool.Request
		want    bool
	}{
		"superuser": {request(user("postgres"), password(server.SuperuserPassword)), true},
		"other":     {request(), false},
	} {
		if got, err := p.Account(t.Context(), row.request); err != nil || got.Superuser != row.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestManyLoginsWaitForEachOther(t *testing.T) {
	p := newPools(t, config())
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := p.CheckLogin(t.Context(), request()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestAnUnreachableServerIsToldWithoutItsName(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := uint16(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, row := range []struct {
		name   string
		change func(*pool.Config)
		says   string
	}{
		{"nobody listens", func(c *pool.Config) { c.Port = closed }, "connection refused"},
		{"no answer", func(c *pool.Config) { c.Port = uint16(silent.Addr().(*net.TCPAddr).Port) }, "no answer in time"},
		{"no answer about TLS", func(c *pool.Config) {
			c.Port, c.SSLMode = uint16(silent.Addr().(*net.TCPAddr).Port), "prefer"
		}, "no answer in time"},
		{"nobody listens at another address", func(c *pool.Config) { c.Host, c.Port = "127.0.0.2", closed }, "connection refused"},
		{"no such socket", func(c *pool.Config) { c.Host = t.TempDir() }, "connection refused"},
	} {
		t.Run(row.name, func(t *testing.T) {
			host := ""
			p := newPools(t, config(row.change, func(c *pool.Config) { c.ConnectTimeout, host = 100*time.Millisecond, c.Host }))
			_, acquired := p.Acquire(t.Context(), request())
			for _, err := range []error{acquired, p.CheckLogin(t.Context(), request())} {
				unreachable, ok := errors.AsType[*pool.UnreachableError](err)
				if !ok || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "127.0.0.1") {
					t.Errorf("got %v (%T)", err, err)
				} else if told := fmt.Sprint(unreachable.Unwrap()); !strings.Contains(told, host) || strings.Contains(told, "localhost") {
					t.Errorf("the log says %q, and the host is %s", told, host)
				}
			}
			if s := p.Stats(); len(s) != 0 {
				t.Errorf("something is left: %+v", s)
			}
		})
	}
}

func TestAnEndedCallerEndsItsConnect(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	p := newPools(t, config(func(c *pool.Config) { c.Port = uint16(silent.Addr().(*net.TCPAddr).Port) }))
	for name, call := range map[string]func(context.Context) error{
		"Acquire":    func(ctx context.Context) error { _, err := p.Acquire(ctx, request()); return err },
		"CheckLogin": func(ctx context.Context) error { return p.CheckLogin(ctx, request()) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- call(ctx) }()
			conn, err := silent.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
	eventually(t, "no room is taken", func() bool { return len(p.Stats()) == 0 })
}
