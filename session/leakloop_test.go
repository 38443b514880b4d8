package session_test

import (
	"context"
	"flag"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var logins = flag.Int("logins", 200, "how many logins TestNothingIsLeftBehind makes")

// Whatever becomes of a login and a session, afterwards nothing is left of it: neither
// a goroutine, nor a descriptor, nor a place in the pool.
func TestNothingIsLeftBehind(t *testing.T) {
	p := startProxy(t, quietly, func(o *options) { o.pool.MaxConns, o.pool.MaxTotal = 2, 3 })
	fates := []func(ctx context.Context, n int){
		func(ctx context.Context, _ int) { p.visit(ctx, "alice", alicePassword, "select 1") },
		func(ctx context.Context, _ int) { p.visit(ctx, "alice", "wrong", "") },
		func(ctx context.Context, _ int) {
			p.visit(ctx, "bob", token("bob@example.com", "READER"), "select 1/0")
		},
		func(ctx context.Context, _ int) { p.visit(ctx, "bob", token("bob@example.com"), "") },
		func(ctx context.Context, _ int) { p.visit(ctx, "bob", "not.a.token", "") },
		func(ctx context.Context, _ int) {
			p.visit(ctx, "bob", token("bob@example.com", "WRITER"), "begin; create temp table x ()")
		},
		func(ctx context.Context, n int) { // left while it waits, or while it runs
			ctx, leave := context.WithTimeout(ctx, time.Duration(n%20)*5*time.Millisecond)
			defer leave()
			p.visit(ctx, "bob", token("bob@example.com", "READER"), "select pg_sleep(0.2)")
		},
	}
	round := func(many int) {
		var going sync.WaitGroup
		for w := range 7 {
			going.Go(func() {
				for n := w; n < many; n += 7 {
					fates[n%len(fates)](t.Context(), n)
				}
			})
		}
		going.Wait()
		waitIdle(t, p)
	}
	round(len(fates) * 7) // what is made once is made now
	descriptors, goroutines := openDescriptors(t), runtime.NumGoroutine()
	round(*logins)
	// Backends that are kept come and go with their pool; each has a descriptor.
	eventually(t, "descriptors and goroutines are as before", 20*time.Second, func() bool {
		return openDescriptors(t) <= descriptors+3 && runtime.NumGoroutine() <= goroutines+6
	})
	for range 3 { // and no place was lost
		ctx, done := context.WithTimeout(t.Context(), 10*time.Second)
		if err := tryConnect(ctx, mustParse(t, p.dsn("alice", alicePassword))); err != nil {
			t.Errorf("after %d logins: %v", *logins, err)
		}
		done()
	}
}

// visit logs in, says something, and leaves without a goodbye if it fails.
func (p *proxy) visit(ctx context.Context, user, password, sql string) {
	config := mustParse(p.t, p.dsn(user, password))
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return // refusals are among the fates
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if sql != "" {
		conn.Exec(ctx, sql) // as are errors
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// tryConnect logs in and leaves.
func tryConnect(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
