// The record: what gprxy's own commands tell about the story, and whether it is what PostgreSQL saw.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	gprxy "gprxy/cmd"
	"gprxy/store"
)

func showSessions(ctx context.Context, d *demo) error {
	if err := d.atRest(ctx); err != nil {
		return err
	}
	out, err := d.command(ctx, "sessions")
	d.screen.table(out)
	return err
}

func showAudit(ctx context.Context, d *demo) error {
	out, err := d.command(ctx, "audit", "--since", "5m")
	d.screen.table(out)
	if err != nil {
		return err
	}
	for _, kind := range []string{"session.started", "role.denied", "auth.failed", "cancel.forwarded", "session.ended"} {
		if !strings.Contains(out, kind) {
			return fmt.Errorf("no event %s is on record", kind)
		}
	}
	return nil
}

func showStatements(ctx context.Context, d *demo) error {
	out, err := d.command(ctx, "audit", "--type", "statement.executed", "--limit", "12")
	d.screen.table(out)
	if err == nil && !strings.Contains(out, "from orders") {
		err = errors.New("no statement that reads the orders is on record")
	}
	return err
}

func showReport(ctx context.Context, d *demo) error {
	out, err := d.command(ctx, "audit", "report", "--since", "1h")
	d.screen.table(out)
	return err
}

func exportOCSF(ctx context.Context, d *demo) error {
	out, err := d.command(ctx, "audit", "export", "--format", "ocsf", "--user", "carol", "--limit", "20")
	if err != nil {
		d.screen.table(out)
		return err
	}
	kinds := map[string]int{}
	for line := range strings.Lines(out) {
		var event struct {
			Class    string `json:"class_name"`
			Activity string `json:"activity_name"`
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			return fmt.Errorf("read the export: %w", err)
		}
		kinds[event.Class+", "+event.Activity]++
	}
	d.screen.ok("%d events of carol's: %s", strings.Count(out, "\n"), counted(kinds))
	return nil
}

// counted tells how many there are of each kind.
func counted(kinds map[string]int) string {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		all = append(all, fmt.Sprintf("%s (%d)", kind, kinds[kind]))
	}
	return strings.Join(all, "; ")
}

func verifyAudit(ctx context.Context, d *demo) error {
	out, err := d.command(ctx, "audit", "verify")
	d.screen.table(out)
	return err
}

// command shows and runs a command of gprxy that reads the log, and returns what it printed. It runs in this process,
// through the program's own front door, so that its tables can be told how wide this screen is.
func (d *demo) command(ctx context.Context, args ...string) (string, error) {
	line := "gprxy " + strings.Join(args, " ")
	d.screen.command(line)
	var out bytes.Buffer
	width := d.screen.tableRoom()
	if slices.Contains(args, "--json") {
		width = 0
	}
	std := gprxy.IO{In: strings.NewReader(""), Out: &out, Err: &out, OutWidth: width}
	env := gprxy.ProcessEnvironment()
	env.Dir = d.dir
	env.Variables = []string{"HOME=" + d.dir, "EVENT_LOG=" + d.eventLog(), "TERM=" + os.Getenv("TERM")}
	if !d.screen.colour {
		env.Variables = append(env.Variables, "NO_COLOR=1")
	}
	if code := gprxy.Run(ctx, args, std, env); code != 0 {
		return out.String(), fmt.Errorf("%s ended with exit code %d", line, code)
	}
	return out.String(), nil
}

// recorded is what this demo reads of `gprxy sessions --json`; an absent value is "" or 0.
type recorded struct {
	State          string `json:"state"`
	User           string `json:"user"`
	RequestedUser  string `json:"requested_user"`
	ServiceAccount string `json:"service_account"`
	BackendPID     int    `json:"backend_pid"`
	EndReason      string `json:"end_reason"`
}

func compareAccounts(ctx context.Context, d *demo) error {
	lines, err := d.command(ctx, "sessions", "--json", "--since", "5m")
	if err != nil {
		d.screen.table(lines)
		return err
	}
	sessions, err := readSessions(lines)
	if err != nil {
		return err
	}
	rows, wrong := compare(d.visits, sessions)
	d.screen.table(accountTable(rows))
	if wrong != nil {
		return wrong
	}
	d.screen.ok("%d visits, %d sessions on record, every account the true one", len(d.visits), len(sessions))
	return nil
}

// readSessions reads JSON lines, newest first, and returns the oldest first.
func readSessions(lines string) ([]recorded, error) {
	var sessions []recorded
	for d := json.NewDecoder(strings.NewReader(lines)); ; {
		var s recorded
		err := d.Decode(&s)
		if errors.Is(err, io.EOF) {
			slices.Reverse(sessions)
			return sessions, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the sessions: %w", err)
		}
		sessions = append(sessions, s)
	}
}

// accountRow is one visit beside its session.
type accountRow struct {
	step                           int
	person, said, account, verdict string
}

// compare sets the visits beside the sessions, both in the order in which they began: one person came after
// the other. The error names every visit whose record is not what PostgreSQL said.
func compare(visits []visit, sessions []recorded) (rows []accountRow, err error) {
	if len(visits) != len(sessions) {
		return nil, fmt.Errorf("%d visits, but %d sessions on record", len(visits), len(sessions))
	}
	var problems []error
	for i, v := range visits {
		s := sessions[i]
		row := accountRow{step: v.step, person: v.person.identity, said: v.said.account, account: s.ServiceAccount, verdict: "OK"}
		if v.refusal != "" {
			row.said = "(not let in)"
			row.account = "(" + s.State + ": " + strings.ReplaceAll(s.EndReason, "_", " ") + ")"
		}
		if problem := v.differs(s); problem != nil {
			row.verdict = "WRONG"
			problems = append(problems, fmt.Errorf("the session of %s in step %d: %w", v.person.name, v.step, problem))
		}
		rows = append(rows, row)
	}
	return rows, errors.Join(problems...)
}

// differs says what a session's record tells otherwise than PostgreSQL did.
func (v visit) differs(s recorded) error {
	switch {
	case s.RequestedUser != v.person.name:
		return fmt.Errorf("recorded for %q", s.RequestedUser)
	case v.refusal != "":
		if s.State != store.StateRefused || s.EndReason != v.refusal || s.BackendPID != 0 {
			return fmt.Errorf("recorded as %s: %s on backend %d, not as refused: %s", s.State, s.EndReason, s.BackendPID, v.refusal)
		}
		return nil
	case s.State != store.StateEnded:
		return fmt.Errorf("recorded as %s, not as ended", s.State)
	}
	found := identity{account: s.ServiceAccount, person: s.User, backend: fmt.Sprint(s.BackendPID)}
	if found != v.said {
		return fmt.Errorf("PostgreSQL said %s for %s on backend %s, the record says %s for %s on backend %s",
			v.said.account, v.said.person, v.said.backend, found.account, found.person, found.backend)
	}
	return nil
}

func accountTable(rows []accountRow) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STEP\tPERSON\tPOSTGRESQL SAYS\tON RECORD\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%4d\t%s\t%s\t%s\t%s\n", r.step, r.person, r.said, r.account, r.verdict)
	}
	w.Flush()
	return b.String()
}
