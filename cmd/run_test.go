// The command line through Run: help, mistakes, exit codes.

package cmd

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// outcome is what a command did.
type outcome struct {
	code     int
	out, err string
}

// gprxy runs a command line without a terminal.
func gprxy(t *testing.T, env Environment, args ...string) outcome {
	t.Helper()
	return gprxyOn(t, 0, env, args...)
}

// gprxyOn runs a command line on a terminal of that width.
func gprxyOn(t *testing.T, width int, env Environment, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	code := Run(t.Context(), args, IO{In: strings.NewReader(""), Out: &out, Err: &errs, OutWidth: width, ErrWidth: width}, env)
	return outcome{code, out.String(), errs.String()}
}

func TestCommandLine(t *testing.T) {
	for _, row := range []struct {
		line string
		code int
		out  string // stands in stdout
		err  string // stands in stderr
	}{
		{line: "", code: 2, err: "Commands:"},
		{line: "--help", code: 0, out: "Commands:"},
		{line: "-h", code: 0, out: "Commands:"},
		{line: "help", code: 0, out: "audit verify   check the hash chain"},
		{line: "help sessions", code: 0, out: "gprxy sessions: who is and was connected"},
		{line: "help audit verify", code: 0, out: "gprxy audit verify: check the hash chain"},
		{line: "sessions --help", code: 0, out: "--active"},
		{line: "sessions -h", code: 0, out: "--active"},
		{line: "audit verify --help", code: 0, out: "gprxy audit verify --json --event-log copy.db"},
		{line: "version", code: 0, out: "gprxy "},
		{line: "--version", code: 0, out: "gprxy "},
		{line: "sesions", code: 2, err: "there is no command \"sesions\"\nTry: gprxy sessions\n"},
		{line: "sess", code: 2, err: "Try: gprxy sessions\n"},
		{line: "Audit", code: 2, err: "Try: gprxy audit\n"},
		{line: "frobnicate", code: 2, err: "Try: gprxy --help\n"},
		{line: "help frobnicate", code: 2, err: "there is no command \"frobnicate\""},
		{line: "help audit verfy", code: 2, err: "Try: gprxy audit verify\n"},
		{line: "audit vrify", code: 2, err: "Try: gprxy audit verify\n"},
		{line: "audit --json verify", code: 2, err: "gprxy audit takes no argument \"verify\"\nTry: gprxy audit verify\n"},
		{line: "sessions alice", code: 2, err: "gprxy sessions takes no argument \"alice\""},
		{line: "--json sessions", code: 2, err: "--json stands before the command"},
		{line: "sessions --actve", code: 2, err: "gprxy sessions has no flag --actve\nTry: gprxy sessions --active\n"},
		{line: "sessions -x", code: 2, err: "gprxy sessions has no flag -x"},
		{line: "sessions --user", code: 2, err: "--user needs a value"},
		{line: "sessions --user=", code: 2, err: "--user is empty\nTry: leave --user out to see all\n"},
		{line: "sessions --limit -1", code: 2, err: "--limit \"-1\" is not understood\nTry: --limit with a whole number"},
		{line: "sessions --since yesterday", code: 2, err: "--since \"yesterday\" is not understood\nTry: --since with one of 90s, 1h, 7d, "},
		{line: "sessions --since 1h --until 2h", code: 2, err: "--since 1h is not before --until 2h"},
		{line: "audit --type auth.fail", code: 2, err: "Try: --type auth.failed\n"},
		{line: "audit --type nothing", code: 2, err: "Try: --type with one of account.altered, auth.failed, "},
		{line: "audit --json --csv", code: 2, err: "--json and --csv exclude each other"},
		{line: "audit --follow --until 1h", code: 2, err: "--follow goes on for ever"},
		{line: "start --gprxy-pass x", code: 2, err: "a command line is no place for a password\nTry: set GPRXY_PASS or GPRXY_PASS_FILE"},
		{line: "start --role-mapping-reader a:b", code: 2, err: "a command line is no place for a password"},
		{line: "start --check --gprxy-user u --password-account self", err: "the settings are complete and consistent"},
		{line: "start --check --db-port x --password-account self", code: 2, err: "DB_PORT is \"x\""},
		{line: "start --db-hots x", code: 2, err: "Try: gprxy start --db-host\n"},
		{line: "start", code: 2, err: "2 settings are wrong or missing\n\n  GPRXY_USER is not set\n"},
		{line: "sessions", code: 1, err: "there is no event log at HOME/.gprxy/events.db"},
		{line: "audit verify", code: 1, err: "there is no event log at"},
		{line: "sess\x1b[2Jions", code: 2, err: `sess\x1b[2Jions`},
	} {
		t.Run(row.line, func(t *testing.T) {
			env := fixedEnvironment(t)
			env.Variables = []string{"HOME=" + env.Dir}
			got := gprxy(t, env, strings.Fields(row.line)...)
			errs := strings.ReplaceAll(got.err, env.Dir, "HOME")
			if got.code != row.code || !strings.Contains(got.out, row.out) || !strings.Contains(errs, row.err) {
				t.Errorf("exit %d, want %d\nstdout %s\nstderr %s\nwant %q and %q in them", got.code, row.code, got.out, errs, row.out, row.err)
			}
			if (row.out == "" && got.out != "") || (row.err == "" && got.err != "") {
				t.Errorf("text on the wrong side: stdout %q, stderr %q", got.out, got.err)
			}
			if strings.Contains(got.err, "\x1b") {
				t.Errorf("a control character reached the terminal: %q", got.err)
			}
		})
	}
}

func TestHelpFitsTheTerminalAndNamesEveryFlag(t *testing.T) {
	for _, c := range commands() {
		text := gprxy(t, fixedEnvironment(t), append(strings.Fields(c.name), "--help")...).out
		for line := range strings.SplitSeq(text, "\n") {
			if len(line) > 80 && !strings.HasPrefix(line, "  gprxy ") { // an example is pasted, not wrapped
				if !strings.Contains(line, " gprxy ") {
					t.Errorf("gprxy %s --help: a line of %d bytes: %s", c.name, len(line), line)
				}
			}
		}
		if len(c.examples) == 0 || !strings.Contains(text, c.summary) {
			t.Errorf("gprxy %s has no example or summary in its help", c.name)
		}
		for _, e := range c.examples {
			checkExample(t, c, e.line)
		}
	}
}

// checkExample parses an example's flags, so that none goes stale.
func checkExample(t *testing.T, c command, line string) {
	t.Helper()
	_, rest, ok := strings.Cut(line, "gprxy "+c.name)
	rest, _, _ = strings.Cut(rest, " > ")
	fs := newFlagSet(c.name)
	c.options().flags(fs)
	if err := fs.Parse(strings.Fields(rest)); !ok || err != nil || fs.NArg() > 0 {
		t.Errorf("the example %q cannot be typed: %v", line, err)
	}
}

func TestVersionJSON(t *testing.T) {
	var got map[string]string
	if err := json.Unmarshal([]byte(gprxy(t, fixedEnvironment(t), "version", "--json").out), &got); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"version", "commit", "go", "platform"} {
		if got[field] == "" {
			t.Errorf("no %s in %v", field, got)
		}
	}
}

type brokenPipe struct{ err error }

func (w brokenPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: w.err}
}

func TestOutputThatCannotBeWritten(t *testing.T) {
	for _, row := range []struct {
		err  syscall.Errno
		code int
		says string
	}{
		{syscall.EPIPE, 0, ""},
		{syscall.ENOSPC, 1, "gprxy: write |1: no space left on device\n"},
	} {
		log := fixedLog(t)
		for _, line := range []string{"sessions", "sessions --json", "audit", "audit --csv", "audit --json", "audit --follow", "audit verify",
			"version", "--help"} {
			var errs bytes.Buffer
			code := Run(t.Context(), strings.Fields(line), IO{Out: brokenPipe{row.err}, Err: &errs}, log.env)
			if code != row.code || errs.String() != row.says {
				t.Errorf("%v: gprxy %s: exit %d, stderr %q", row.err, line, code, errs.String())
			}
		}
	}
}

func TestEventLogIsFoundLikeEverySetting(t *testing.T) {
	log := fixedLog(t)
	path := filepath.Join(log.env.Dir, "events.db")
	elsewhere := fixedEnvironment(t, "HOME="+t.TempDir())
	if got := gprxy(t, elsewhere, "audit", "verify", "--event-log", path); got.code != 0 {
		t.Errorf("by flag: %+v", got)
	}
	write(t, filepath.Join(elsewhere.Dir, ".env"), "topsecret\nEVENT_LOG="+path+"\n")
	got := gprxy(t, elsewhere, "audit", "verify")
	if got.code != 0 || !strings.Contains(got.err, "warning: .env:1 is not NAME=value") || strings.Contains(got.err, "topsecret") {
		t.Errorf("by a .env with a bad line: %+v", got)
	}
}
