// The parts that judge and print, each against a table.
package main

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func dial(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Second}
	return d.DialContext(ctx, "tcp", address)
}

func TestCompareFindsWhatDiffers(t *testing.T) {
	alice := visit{step: 4, person: person{name: "alice", identity: "alice@x"}, said: identity{"app_reader", "alice@x", "7"}}
	away := visit{step: 5, person: person{name: "mallory"}, refusal: "no_mapped_role"}
	good := recorded{State: "ended", User: "alice@x", RequestedUser: "alice", ServiceAccount: "app_reader", BackendPID: 7}
	refused := recorded{State: "refused", RequestedUser: "mallory", EndReason: "no_mapped_role"}
	for _, row := range []struct {
		name   string
		change func(a, r *recorded)
		says   string // "": all is well
	}{
		{"as PostgreSQL said", func(_, _ *recorded) {}, ""},
		{"another account", func(a, _ *recorded) { a.ServiceAccount = "app_writer" },
			"the session of alice in step 4: PostgreSQL said app_reader"},
		{"another person", func(a, _ *recorded) { a.User = "bob@x" }, "the record says app_reader for bob@x"},
		{"another backend", func(a, _ *recorded) { a.BackendPID = 8 }, "on backend 8"},
		{"another user asked for", func(a, _ *recorded) { a.RequestedUser = "bob" }, `recorded for "bob"`},
		{"still active", func(a, _ *recorded) { a.State = "active" }, "recorded as active"},
		{"refused one let in", func(_, r *recorded) { r.State = "ended" }, "the session of mallory in step 5: recorded as ended"},
		{"refused for another reason", func(_, r *recorded) { r.EndReason = "expired" }, "not as refused: no_mapped_role"},
	} {
		a, r := good, refused
		row.change(&a, &r)
		rows, err := compare([]visit{alice, away}, []recorded{a, r})
		if (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", row.name, err)
		}
		if wrong := strings.Contains(accountTable(rows), "WRONG"); wrong != (row.says != "") {
			t.Errorf("%s: the table is\n%s", row.name, accountTable(rows))
		}
	}
	if _, err := compare([]visit{alice, away}, []recorded{good}); err == nil {
		t.Error("a session that is missing is not missed")
	}
}

func TestBrokenCommandLinesMeanTheSame(t *testing.T) {
	line := `printf "%s|" one "two three four" "five six seven eight" nine`
	want, err := exec.CommandContext(t.Context(), "sh", "-c", line).Output()
	if err != nil {
		t.Fatal(err)
	}
	for width := 20; width < 80; width++ {
		lines := breakCommand(line, width)
		for _, l := range lines {
			if len(l) > width {
				t.Errorf("width %d: %q", width, l)
			}
		}
		got, err := exec.CommandContext(t.Context(), "sh", "-c", strings.Join(lines, "\n")).Output()
		if err != nil || strings.Join(strings.Fields(string(got)), " ") != string(want) {
			t.Errorf("width %d: %q means %q, not %q (%v)", width, lines, got, want, err)
		}
	}
}

func TestFoldKeepsWhatFits(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"a  table | row", "a  table | row"},
		{"FATAL:  some words that do not fit", "FATAL:  some words\n  that do not fit"},
		{"anoverlongwordthatcannotbebroken x", "anoverlongwordthatcannotbebroken\n  x"},
	} {
		if got := strings.Join(fold(row.text, 20, "  "), "\n"); got != row.want {
			t.Errorf("%q becomes %q", row.text, got)
		}
	}
}
