// A person at a terminal, played with a pseudo-terminal.

package prompt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// desk is a prompt on a terminal and the person before it.
type desk struct {
	t          *testing.T
	keys       *os.File // the person's side
	home       string
	interrupts chan os.Signal
	stop       context.CancelFunc
	ended      chan struct{}
	code       int
	err        error

	mu     sync.Mutex // guards screen
	screen strings.Builder
	seen   int // of screen, by expect
}

func openTerminal(t *testing.T) (person, terminal *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 100}); err != nil {
		t.Fatal(err)
	}
	return person, terminal
}

func sit(t *testing.T, home string) *desk {
	t.Helper()
	return sitWith(t, home, "")
}

// sitWith sits down where long results go through a pager.
func sitWith(t *testing.T, home, pager string) *desk {
	t.Helper()
	person, terminal := openTerminal(t)
	ctx, stop := context.WithCancel(t.Context())
	d := &desk{t: t, keys: person, home: home, interrupts: make(chan os.Signal, 1), stop: stop, ended: make(chan struct{})}
	go func() { // ends with the terminal
		buffer := make([]byte, 4096)
		for {
			n, err := person.Read(buffer)
			d.mu.Lock()
			d.screen.Write(buffer[:n])
			d.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		defer close(d.ended)
		d.code, d.err = Run(ctx, Config{
			In: terminal, Out: terminal, Err: terminal, Terminal: terminal, Connect: connectSuperuser, Pager: pager,
			History: filepath.Join(home, ".gprxy", "history"), Interrupts: d.interrupts,
		})
	}()
	t.Cleanup(func() { stop(); <-d.ended })
	return d
}

// expect waits until a text stands on the screen, after what was expected before.
func (d *desk) expect(text string) {
	d.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		d.mu.Lock()
		screen := d.screen.String()
		d.mu.Unlock()
		if at := strings.Index(screen[d.seen:], text); at >= 0 {
			d.seen += at + len(text)
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("no %q on the screen, after %q", text, screen[d.seen:])
		}
	}
}

// press types. Letters may be typed ahead; Ctrl-C and Ctrl-D are keys only while a prompt stands, and the
// terminal's own before.
func (d *desk) press(keys string) {
	d.t.Helper()
	if _, err := d.keys.WriteString(keys); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) end() int {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(20 * time.Second):
		d.mu.Lock()
		defer d.mu.Unlock()
		d.t.Fatalf("the prompt does not end:\n%s", d.screen.String())
	}
	return d.code
}

func TestAtTheKeyboard(t *testing.T) {
	d := sit(t, t.TempDir())
	d.expect("postgres=> ")
	d.press("select 1 as one;\r")
	d.expect("(1 row)")
	d.expect("postgres=> ")
	d.press("select\t2\r")
	d.expect("postgres-> ")
	d.press("  + (3\r")
	d.expect("postgres(> ")
	d.press(") as sum;\r")
	d.expect("   5\r\n(1 row)")
	d.press("select 'a\rb';\r")
	d.expect("postgres'> ")
	d.expect(" b\r\n(1 row)")

	d.press("select nothing;\r") // an error does not end it
	d.expect(`column "nothing" does not exist`)
	d.expect("^")
	d.press("begin;\r")
	d.expect("postgres=*> ")
	d.press("select 1/0;\r")
	d.expect("postgres=!> ")
	d.press("rollback;\r")
	d.expect("ROLLBACK")

	d.press("select 'given up") // Ctrl-C clears the line, and the lines before it
	d.press("\x03")
	d.expect("^C")
	d.expect("postgres=> ")
	d.press("select\r")
	d.expect("postgres-> ")
	d.press("'x\r")
	d.expect("postgres'> ")
	d.press("\x03")
	d.expect("^C")
	d.expect("postgres=> ")

	d.press(strings.Repeat("\x1b[A", 4) + "\r") // up to before the two lines that were given up, and rollback
	d.expect("ERROR:  division by zero")
	d.expect("postgres=> ")

	d.press("\x04")
	if code := d.end(); code != Done || d.err != nil {
		t.Errorf("exit %d, %v", code, d.err)
	}
}

func TestCtrlCCancelsOnlyTheStatement(t *testing.T) {
	d := sit(t, t.TempDir())
	d.expect("=> ")
	d.press("do $$ begin raise notice 'on'; perform pg_sleep(60); end $$;\r")
	d.expect("NOTICE:  on")
	d.interrupts <- os.Interrupt
	d.expect("canceling statement due to user request")
	d.expect("postgres=> ")
	d.interrupts <- os.Interrupt // with nothing running: of no effect
	d.press("select 'still' || 'here';\r")
	d.expect("stillhere")
	d.press("\\q\r")
	if code := d.end(); code != Done {
		t.Errorf("exit %d", code)
	}
}

func TestALostConnectionIsMadeAnew(t *testing.T) {
	d := sit(t, t.TempDir())
	d.expect("=> ")
	d.press("select pg_terminate_backend(pg_backend_pid());\r")
	d.expect("FATAL:  terminating connection due to administrator command")
	d.expect("!> ")
	d.press("select 40 + 2;\r")
	d.expect("Connected again")
	d.expect("42")
	d.expect("postgres=> ")
}

// elsewhere is another connection to the server.
func elsewhere(t *testing.T, sql string) string {
	t.Helper()
	rows, err := postgres.Query(t.Context(), "postgres", sql)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	return rows[0][0]
}

// restart ends the desk's connection while nothing runs on it, as a restart of the server does, and waits for the end.
func (d *desk) restart(name string) {
	d.t.Helper()
	those := " from pg_stat_activity where application_name = '" + name + "'"
	if got := elsewhere(d.t, "select pg_terminate_backend(pid)::text"+those); got != "true" {
		d.t.Fatal(got)
	}
	for deadline := time.Now().Add(20 * time.Second); elsewhere(d.t, "select count(*)"+those) != "0"; {
		if time.Now().After(deadline) {
			d.t.Fatal("the backend does not end")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestAStatementTypedAfterTheLossIsSent(t *testing.T) {
	d := sit(t, t.TempDir())
	d.expect("=> ")
	d.press("create table typed (a int); set application_name = 'thinks';\r")
	defer elsewhere(t, "drop table typed; select ''")
	d.expect("SET")
	d.expect("=> ")
	d.restart("thinks")
	d.press("insert into typed values (7); set application_name = 'works';\r")
	d.expect("FATAL:  terminating connection due to administrator command")
	d.expect("Connected again")
	d.expect("INSERT 0 1")
	d.expect("postgres=> ")

	d.press("begin;\r") // what is typed for a transaction is not run without it
	d.expect("postgres=*> ")
	d.restart("works")
	d.press("delete from typed;\r")
	d.expect("the transaction is gone with the connection; the statement was not sent")
	d.expect("!> ")
	d.press("select 'rows: ' || count(*) from typed;\r")
	d.expect("rows: 1")
	d.press("\\q\r")
	d.end()
}

func TestAStatementThatMayHaveRunIsNotSentAgain(t *testing.T) {
	d := sit(t, t.TempDir())
	d.expect("=> ")
	d.press("select pg_terminate_backend(pg_backend_pid());\r")
	d.expect("Whether the statement was carried out is not known. It is not sent again")
	d.expect("!> ")
	d.press("\x1b[A") // but it is at hand
	d.expect("select pg_terminate_backend")
	d.press("\x03")
	d.expect("!> ")
}

func TestALongResultGoesThroughThePager(t *testing.T) {
	d := sitWith(t, t.TempDir(), "sed 's/^/paged:/'")
	d.expect("=> ")
	d.press("select i from generate_series(1, 40) i;\r") // fits the 50 lines
	d.expect("\n 40\r\n(40 rows)")
	d.press("select i from generate_series(1, 60) i;\r")
	d.expect("paged:  1\r\n")
	d.expect("paged:(60 rows)")
	d.expect("=> ")
	d.press("select repeat('x', 6000) as wide;\r") // one row that takes 60 lines of 100 columns
	d.expect("paged:")
	d.expect("=> ")
	d.press("\\df pg_catalog.pg_*\r")
	d.expect("paged:")
	d.expect("=> ")
	d.press("copy (select i from generate_series(1, 60) i) to stdout;\r") // data is no table
	d.expect("\n60\r\n")
	d.expect("=> ")
	d.press("\\q\r")
	d.end()
}

func TestAPagerThatIsLeftEarlyEndsNothing(t *testing.T) {
	d := sitWith(t, t.TempDir(), "head -n 3")
	d.expect("=> ")
	d.press("select i, repeat('y', 200) from generate_series(1, 50000) i;\r")
	d.expect("=> ")
	d.press("select 'still' || 'here';\r")
	d.expect("stillhere")
	d.press("\\q\r")
	if code := d.end(); code != Done {
		t.Errorf("exit %d, %v", code, d.err)
	}
}

func TestHelpAndQuitAreWords(t *testing.T) {
	for _, word := range []string{"quit", "exit", "  quit ; "} {
		d := sit(t, t.TempDir())
		d.expect("=> ")
		d.press("help\r")
		d.expect("for the commands there are")
		d.expect("=> ")
		d.press("select 1 as\r")
		d.expect("-> ")
		d.press("exit\r") // a name here
		d.expect(`Use \? for help, \q to end, or press Ctrl-C`)
		d.press(";\r")
		d.expect(" exit ")
		d.expect("(1 row)")
		d.press("select 'x\r")
		d.expect("'> ")
		d.press("quit\r")
		d.expect("A quote or comment is open")
		d.press("\x03")
		d.expect("=> ")
		d.press(word + "\r")
		if code := d.end(); code != Done || d.err != nil {
			t.Errorf("exit %d, %v", code, d.err)
		}
	}
}

func TestCopyFromTheKeyboard(t *testing.T) {
	d := sit(t, t.TempDir())
	d.expect("=> ")
	d.press("create temp table t (a int);\rcopy t from stdin;\r")
	d.expect(">> ")
	d.press("1\r2\r\\.\r")
	d.expect("COPY 2")
	d.press("copy t from stdin;\r")
	d.expect(">> ")
	d.press("3\r")
	d.expect(">> ")
	d.press("\x03")
	d.expect("canceled by user")
	d.press("copy nowhere from stdin;\r")
	d.expect("does not exist")
	d.press("select sum(a) from t;\r")
	d.expect("   3")
}

func TestTheEndOfCtxLeavesTheTerminalUsable(t *testing.T) {
	d := sit(t, t.TempDir())
	d.expect("=> ")
	before, err := unix.IoctlGetTermios(int(d.keys.Fd()), unix.TCGETS)
	if err != nil || before.Lflag&unix.ICANON != 0 {
		t.Fatalf("the terminal is not raw while a line is typed: %v", err)
	}
	d.press("select 'half")
	d.expect("half")
	d.stop()
	if code := d.end(); code != 1 || !errors.Is(d.err, context.Canceled) {
		t.Errorf("exit %d, %v", code, d.err)
	}
	after, err := unix.IoctlGetTermios(int(d.keys.Fd()), unix.TCGETS)
	if err != nil || after.Lflag&unix.ICANON == 0 || after.Lflag&unix.ECHO == 0 {
		t.Errorf("the terminal is still raw: %v", err)
	}
}

func TestHistoryIsKeptWithoutPasswords(t *testing.T) {
	home := t.TempDir()
	d := sit(t, home)
	d.expect("=> ")
	d.press("select 'first';\r")
	d.expect("(1 row)")
	d.press("alter role postgres\r  password\r 'topsecret'\r, nonsense;\r")
	d.expect("ERROR")
	d.press("select 'last'\r;\r")
	d.expect("(1 row)")
	d.expect("postgres=> ")
	d.press("\x04")
	d.end()
	path := filepath.Join(home, ".gprxy", "history")
	content, err := os.ReadFile(path)
	if err != nil || string(content) != "select 'first';\nselect 'last'\n;\n" {
		t.Errorf("%q, %v", content, err)
	}
	for path, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}

	again := sit(t, home)
	again.expect("=> ")
	again.press("\x1b[A\x1b[A\x1b[A\r") // ;  select 'last'  select 'first';
	again.expect("first")
	again.expect("(1 row)")
}
