// gprxy connect on a terminal: Ctrl-C cancels what runs, and no more.

package cmd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// desk is gprxy on a pseudo-terminal of its own.
type desk struct {
	t    *testing.T
	keys *os.File
	cmd  *exec.Cmd

	mu     sync.Mutex // guards screen
	screen strings.Builder
	seen   int
}

func sit(t *testing.T, cmd *exec.Cmd) *desk {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	if err := unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	d := &desk{t: t, keys: keys, cmd: cmd}
	go func() { // ends with the terminal
		buffer := make([]byte, 4096)
		for {
			n, err := keys.Read(buffer)
			d.mu.Lock()
			d.screen.Write(buffer[:n])
			d.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { cmd.Process.Kill(); keys.Close() })
	return d
}

func (d *desk) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.screen.String()
}

func (d *desk) expect(text string) {
	d.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		screen := d.text()
		if at := strings.Index(screen[d.seen:], text); at >= 0 {
			d.seen += at + len(text)
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("no %q on the screen, after %q", text, screen[d.seen:])
		}
	}
}

func (d *desk) press(keys string) {
	d.t.Helper()
	if _, err := d.keys.WriteString(keys); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) end() int {
	d.t.Helper()
	ended := make(chan struct{})
	go func() { d.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		d.t.Fatalf("gprxy does not end; its screen:\n%s", d.text())
	}
	return d.cmd.ProcessState.ExitCode()
}

func TestConnectOnATerminal(t *testing.T) {
	i := newPersonInstall(t)
	proxy := i.start()
	p := i.person(t, "PROXY_URL="+proxy.addr, "PAGER=cat", "PSQLRC=/dev/null", "PSQL_HISTORY=/dev/null")
	if got := p.logIn("alice"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	for _, way := range []struct{ name, flag string }{{"psql", "--no-psql=false"}, {"the built-in prompt", "--no-psql"}} {
		t.Run(way.name, func(t *testing.T) {
			if way.name == "psql" {
				havePsql(t)
			}
			d := sit(t, p.command("connect", "-d", "postgres", way.flag))
			d.expect("postgres=> ")
			d.press("select 'who: ' || current_user;\r")
			d.expect("who: app_reader")
			d.expect("postgres=> ")
			for range 2 { // the second one would find a gprxy that took the first for itself
				d.press("select pg_sleep(60) as nap;\r")
				waitFor(t, "the query", func() bool { return napping(t, i.postgres) == 1 })
				d.press("\x03")
				d.expect("canceling statement due to user request")
				d.expect("postgres=> ")
			}
			d.press("select 'still ' || 'here';\r")
			d.expect("still here")
			d.expect("postgres=> ")
			d.press("\\q\r")
			if code := d.end(); code != 0 {
				t.Errorf("exit %d\n%s", code, d.text())
			}
			p.said = append(p.said, d.text())
		})
		t.Run(way.name+" told to end", func(t *testing.T) {
			if way.name == "psql" {
				havePsql(t)
			}
			d := sit(t, p.command("connect", "-d", "postgres", way.flag))
			d.expect("postgres=> ")
			d.cmd.Process.Signal(syscall.SIGTERM)
			if code := d.end(); code == 0 {
				t.Error("exit 0")
			}
		})
	}
	p.kept(p.secrets())
	if _, err := os.Stat(filepath.Join(p.home, ".gprxy", "history")); err != nil {
		t.Error(err)
	}
}
