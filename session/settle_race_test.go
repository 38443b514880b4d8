package session_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Clients leave in the middle of what they run, which gprxy
// then cancels, while others wait for their backends. What is cancelled is never
// the next one's. The long form:
//
//	go test ./session -run SettleRace -settles 20000 -timeout 30m
var settles = flag.Int("settles", 60, "how many clients TestSettleRace has leave in the middle of something")

func TestSettleRace(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, func(o *options) {
		o.pool.MaxConns, o.pool.AcquireTimeout = 2, time.Minute
	})
	r := &race{addr: p.addr, wrong: make(chan string, 100)}
	for i := range racers {
		r.tokens = append(r.tokens, token(fmt.Sprintf("racer%d@example.com", i), "reader"))
	}
	var left, reused atomic.Int64
	left.Store(int64(*settles))
	var running sync.WaitGroup
	for i := range racers {
		running.Go(func() {
			seen := map[string]bool{}
			for left.Add(-1) >= 0 {
				pid, err := r.leave(t.Context(), i)
				if err != nil {
					r.fail("a session of racer %d: %v", i, err)
				}
				if seen[pid] {
					reused.Add(1)
				}
				seen[pid] = true
			}
		})
	}
	running.Wait()
	close(r.wrong)
	for what := range r.wrong {
		t.Error(what)
	}
	t.Logf("%d clients left in the middle of something, %d on a backend they had before", *settles, reused.Load())
	if reused.Load() == 0 {
		t.Error("nothing was raced for")
	}
}

// leave has a session in which nothing may be cancelled, and leaves it in the middle
// of something that gprxy has to end.
func (r *race) leave(ctx context.Context, racer int) (pid string, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	key, err := r.login(conn, racer)
	if err != nil {
		return "", fmt.Errorf("the login: %w", err)
	}
	for range 1 + rand.IntN(3) {
		if code, err := statement(conn, fmt.Sprintf("select pg_sleep(%f)", rand.Float64()/300)); err != nil || code != "" {
			return "", fmt.Errorf("a statement that nobody cancelled failed with %s, %v", code, err)
		}
	}
	short := fmt.Sprintf("select pg_sleep(%f)", rand.Float64()/500) // may end by itself while it is cancelled
	unfinished := []string{
		query(short),
		query("select pg_sleep(10)"),
		query(short) + query(short) + query("select pg_sleep(10)"),
		query("begin; " + short),
		parse(short) + bind + whole,
		query("copy (select pg_sleep(0.001) from generate_series(1, 1000)) to stdout"),
	}
	if _, err := io.WriteString(conn, unfinished[rand.IntN(len(unfinished))]); err != nil {
		return "", err
	}
	time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond / 2) // at the beginning, in the middle, near the end
	cutOff(conn)
	return key[:4], nil
}
