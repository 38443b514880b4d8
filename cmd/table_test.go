// Tables fit the terminal, and colours stay on it.

package cmd

import (
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
)

func TestTablesFitEveryTerminal(t *testing.T) {
	t.Parallel()
	log := fixedLog(t)
	for width := 20; width <= 220; width += 8 {
		for _, line := range []string{"sessions", "audit"} {
			out := gprxyOn(t, width, log.env, line).out
			for row := range strings.Lines(out) {
				if w := lipgloss.Width(strings.TrimSuffix(row, "\n")); w > width {
					t.Errorf("gprxy %s on %d columns: %d columns in %q", line, width, w, row)
				}
			}
		}
	}
}

func TestColourOnlyOnATerminal(t *testing.T) {
	log := fixedLog(t)
	for _, row := range []struct {
		name   string
		width  int
		more   []string
		colour bool
	}{
		{"a terminal", 120, nil, true},
		{"not a terminal", 0, nil, false},
		{"NO_COLOR", 120, []string{"NO_COLOR=1"}, false},
		{"an empty NO_COLOR", 120, []string{"NO_COLOR="}, true},
		{"TERM=dumb", 120, []string{"TERM=dumb"}, false},
	} {
		env := log.env
		env.Variables = append(slices.Clone(env.Variables), row.more...)
		for _, line := range []string{"sessions", "audit", "sessions --json", "audit --csv"} {
			out := gprxyOn(t, row.width, env, strings.Fields(line)...).out
			if want := row.colour && !strings.Contains(line, "--"); strings.Contains(out, "\x1b[") != want {
				t.Errorf("%s: gprxy %s: colour %v, want %v", row.name, line, !want, want)
			}
		}
	}
}

func TestEmptyColumnsGoFirst(t *testing.T) {
	log := fixedLog(t)
	log.env.Variables = append(log.env.Variables, "NO_COLOR=1")
	got := gprxyOn(t, 100, log.env, "audit", "--type", "auth.failed")
	equal(t, "100 columns", got.out, `
SEQ  TIME                 TYPE         SESSION           DATABASE  DETAIL
  7  2026-03-05 11:00:03  auth.failed  06d3k2p8w1zvq4tb  shop      token refused: expired (since 3m)
`[1:])
	equal(t, "what is missing", got.err, "not shown for want of room: client; --full or a wider terminal shows all\n")
}

func TestFullCutsNothing(t *testing.T) {
	log := fixedLog(t)
	log.env.Variables = append(log.env.Variables, "NO_COLOR=1")
	got := gprxyOn(t, 80, log.env, "audit", "--session", "06d3k2p8w1zvq4ta", "--full", "--limit", "2")
	equal(t, "80 columns", got.out, `
SEQ  TIME                 TYPE             USER
  5  2026-03-05 11:00:02  session.started  alice@example.com
    session 06d3k2p8w1zvq4ta, account app_writer, database shop, client
    10.0.0.1:4000, detail reused backend 4711 as app_writer after 12 ms,
    127.0.0.1:5432
 16  2026-03-05 11:01:04  session.ended    alice@example.com
    session 06d3k2p8w1zvq4ta, account app_writer, database shop, client
    10.0.0.1:4000, detail ended: client closed, 3 statements, 1m 03s
`[1:])
	got = gprxyOn(t, 100, log.env, "audit", "--session", "06d3k2p8w1zvq4ta", "--full", "--type", "session.started")
	equal(t, "100 columns", got.out, `
SEQ  TIME                 TYPE             USER               DETAIL
  5  2026-03-05 11:00:02  session.started  alice@example.com  reused backend 4711 as app_writer
                                                              after 12 ms, 127.0.0.1:5432
    session 06d3k2p8w1zvq4ta, account app_writer, database shop, client 10.0.0.1:4000
`[1:])
	equal(t, "stderr", got.err, "")
	for _, line := range []string{"sessions --full", "audit --full"} {
		for _, width := range []int{20, 60, 100, 300} {
			var words int
			got := gprxyOn(t, width, log.env, strings.Fields(line)...)
			for row := range strings.Lines(got.out) {
				if w := lipgloss.Width(strings.TrimSuffix(row, "\n")); w > width {
					t.Errorf("gprxy %s on %d columns: %d columns in %q", line, width, w, row)
				}
				words += len(strings.Fields(row))
			}
			if strings.Contains(got.out, "…") || strings.Contains(got.err, "not shown for want of room") || words == 0 {
				t.Errorf("gprxy %s on %d columns: cut\n%s%s", line, width, got.out, got.err)
			}
		}
	}
}

func TestLongColumnsShareTheRoom(t *testing.T) {
	log := fixedLog(t)
	log.env.Variables = append(log.env.Variables, "NO_COLOR=1")
	equal(t, "80 columns", gprxyOn(t, 80, log.env, "audit", "--session", "06d3k2p8w1zvq4ta").out, `
SEQ  TIME                 TYPE               USER        DETAIL
  2  2026-03-05 11:00:01  session.connected  alice@exa…  asks for alice on shop…
  3  2026-03-05 11:00:01  auth.succeeded     alice@exa…  by token, roles reader…
  4  2026-03-05 11:00:01  role.mapped        alice@exa…  role writer is served …
  5  2026-03-05 11:00:02  session.started    alice@exa…  reused backend 4711 as…
 16  2026-03-05 11:01:04  session.ended      alice@exa…  ended: client closed, …
`[1:])
}
