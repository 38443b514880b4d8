// What happens when clients hold every descriptor there is.

package cmd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func (i *install) testOutOfDescriptors(t *testing.T) {
	const limit = 60
	inShell := i.command()
	inShell.Path, inShell.Args = "/bin/sh", []string{"sh", "-c", fmt.Sprintf("ulimit -n %d; exec %s start", limit, i.binary)}
	r := i.startAs(inShell)
	defer r.kill()
	if !strings.Contains(r.output(), "LimitNOFILE") {
		t.Errorf("no warning that the limit is too low\n%s", r.output())
	}
	inside := r.mustConnect("alice", "alice-secret")
	var idle []net.Conn
	for range 2 * limit {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	waitFor(t, "the descriptors run out", func() bool { return strings.Contains(r.output(), "could not accept") })

	before := cpuTime(t, r.Process.Pid)
	time.Sleep(time.Second) // the time in which it must not spin
	if spent := cpuTime(t, r.Process.Pid) - before; spent > 300*time.Millisecond {
		t.Errorf("%v of CPU in a second of waiting", spent)
	}
	if _, err := inside.Exec(t.Context(), "select 1"); err != nil {
		t.Errorf("who is in is not served: %v", err)
	}
	for _, conn := range idle {
		conn.Close()
	}
	r.mustConnect("alice", "alice-secret")
	if n := strings.Count(r.output(), "could not accept"); n > 3 {
		t.Errorf("%d lines about it", n)
	}
}

// cpuTime is what the process has used, in user and system mode; 0 where there is no /proc.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may hold blanks
	fields := strings.Fields(after)
	var user, system int64
	if _, err := fmt.Sscan(fields[11], &user); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(fields[12], &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 everywhere
}
