// kill -9: nothing acknowledged is lost, the chain holds, and no session stays open.

package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// appendUntilKilled is the child: several goroutines log sessions in and print each id once it is durable.
func appendUntilKilled(path string) int {
	ctx := context.Background()
	d, err := Open(ctx, path, Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var (
		wg  sync.WaitGroup
		out sync.Mutex
	)
	for range 8 {
		wg.Go(func() {
			for {
				id := NewSessionID(time.Now())
				if err := d.Append(ctx, login(id, "ann", "app_reader", time.Now())...); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				out.Lock()
				fmt.Println(id)
				out.Unlock()
				if rand.IntN(2) == 0 {
					d.Enqueue(end(id, time.Now()))
				}
			}
		})
	}
	wg.Wait()
	return 1
}

func TestKilledProxyLosesNothingAcknowledged(t *testing.T) {
	path := logPath(t)
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	acked := map[string]bool{}
	for range rounds {
		killOnce(t, path, acked)
		head := verified(t, path) // by a reader, before any proxy has recovered the file
		if head.Events < int64(4*len(acked)) {
			t.Fatalf("%d events for %d acknowledged logins", head.Events, len(acked))
		}
	}
	d := open(t, path, Options{})
	r := reader(t, path)
	states := map[string]int{}
	for _, s := range all(t, r.Sessions(t.Context(), SessionFilter{})) {
		delete(acked, s.Session)
		states[s.State]++
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged sessions are missing", len(acked))
	}
	if states[StateActive] > 0 || states[StateAborted] == 0 || states[StateEnded] == 0 {
		t.Errorf("states after the restart: %v", states)
	}
	t.Logf("%d rounds, sessions by state: %v", rounds, states)
	mustAppend(t, d, Event{Fact: ProxyStopped{Reason: "test"}})
	verified(t, path)
}

// killOnce runs the child, reads what it acknowledges, and kills it after some of that.
func killOnce(t *testing.T, path string, acked map[string]bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "GPRXY_STORE_CRASH="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killAfter := 1 + rand.IntN(200)
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); { // to EOF: what was printed before the kill counts
		if id := lines.Text(); len(id) == 16 {
			acked[id] = true
		}
		if n++; n == killAfter {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Wait()
	if n < killAfter {
		t.Fatal("the child ended by itself after " + strconv.Itoa(n) + " logins")
	}
}
