// gprxy sessions: who is and was connected.

package cmd

import (
	"bufio"
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gprxy/auth"
	"gprxy/cmd/terminal"
	"gprxy/store"
)

func sessionsCommand() command {
	return command{
		name:    "sessions",
		summary: "who is and was connected",
		about: "Newest first. Reads the event log, while the proxy runs or not. Times are UTC. A user in brackets was asked for but not " +
			"proved.",
		examples: []example{
			{"gprxy sessions --active", "who is connected now"},
			{"gprxy sessions --user alice@example.com --since 7d", "what alice did this week"},
			{"gprxy sessions --service-account app_writer --since 2026-03-01 --limit 0 --json",
				"everybody who used app_writer since March, one JSON object a line"},
		},
		options: func() options { return &sessionsOptions{filter: filterOptions{limit: 100}} },
	}
}

type sessionsOptions struct {
	readOptions
	filter filterOptions
	active bool
	all    bool
	json   bool
	full   bool
}

func (o *sessionsOptions) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.active, "active", false, "only sessions that are connected now")
	fs.BoolVar(&o.all, "all", false, "also connections that left before they logged in, such as those of pg_isready")
	o.filter.flags(fs)
	fs.BoolVar(&o.full, "full", false, "cut nothing on a narrow terminal: long values are wrapped, and columns without room stand below")
	fs.BoolVar(&o.json, "json", false, "one JSON object a line")
	o.readOptions.flags(fs)
}

func (o *sessionsOptions) validate(c *call) error {
	if err := o.filter.validate(c); err != nil {
		return err
	}
	return o.readOptions.validate(c)
}

func (o *sessionsOptions) run(ctx context.Context, c *call) error {
	r, err := o.open(ctx, c)
	if err != nil {
		return err
	}
	defer r.Close()
	show := o.printer(c)
	shown, probes, cut := 0, 0, false
	for s, err := range r.Sessions(ctx, o.storeFilter()) {
		if err != nil {
			return err
		}
		if !o.all && isProbe(s) {
			probes++
			continue
		}
		if cut = o.filter.limit > 0 && shown == int(o.filter.limit); cut {
			break
		}
		if err := show.session(s); err != nil {
			return err
		}
		shown++
	}
	if err := show.close(); err != nil {
		return err
	}
	switch {
	case shown == 0:
		c.note("no sessions match; gprxy audit shows every event, %s is the log", o.path)
	case cut:
		c.note("the newest %d sessions; there are more: --limit 0 shows all", shown)
	}
	if probes > 0 {
		c.note("not shown: %s that left before logging in, such as pg_isready's; --all shows them", terminal.Counted(int64(probes), "connection"))
	}
	if running, known := store.Running(o.path); o.active && known && !running {
		c.note("no gprxy runs with %s now: what is active here was open when the last one ended, and the next one records its end", o.path)
	}
	return nil
}

// isProbe: it was told what is asked of those who log in, and left. So does pg_isready, and psql before it asks its user
// for the password.
func isProbe(s store.Session) bool {
	return s.EndReason == store.EndLeftBeforeLogin && s.User == "" && s.ServiceAccount == ""
}

// storeFilter asks for one session more than is shown, to know whether there are more. Probes are counted as they pass.
func (o *sessionsOptions) storeFilter() store.SessionFilter {
	f := store.SessionFilter{
		Active:         o.active,
		User:           o.filter.user,
		AlsoUser:       auth.FoldUser(o.filter.user),
		ServiceAccount: o.filter.serviceAccount,
		Database:       o.filter.database,
		RequestedUser:  o.filter.requestedUser,
		Since:          o.filter.since,
		Until:          o.filter.until,
	}
	if o.filter.limit > 0 && o.all {
		f.Limit = int(o.filter.limit) + 1
	}
	return f
}

type sessionPrinter interface {
	session(s store.Session) error
	close() error
}

func (o *sessionsOptions) printer(c *call) sessionPrinter {
	if o.json {
		return sessionLines{bufio.NewWriter(c.Out)}
	}
	t := newTable(c.Out, c.OutWidth, c.colour(c.OutWidth), sessionColumns())
	t.full = o.full
	return &sessionTable{table: t, call: c, now: c.Now()}
}

type sessionLines struct{ out *bufio.Writer }

func (p sessionLines) session(s store.Session) error { return terminal.WriteJSON(p.out, s) }
func (p sessionLines) close() error                  { return p.out.Flush() }

func sessionColumns() []column {
	return []column{
		{title: "SESSION", drop: 7},
		{title: "STATE", paint: paintState},
		{title: "STARTED"},
		{title: "LASTED", right: true, drop: 5},
		{title: "USER", least: 16},
		{title: "ACCOUNT", least: 10},
		{title: "DATABASE", least: 8},
		{title: "CLIENT", least: 12, drop: 6},
		{title: "STATEMENTS", right: true, drop: 8},
		{title: "ROWS", right: true, drop: 9},
		{title: "END", least: 10, drop: 4},
	}
}

type sessionTable struct {
	*table
	call *call
	now  time.Time
}

func (p *sessionTable) session(s store.Session) error {
	user := s.User
	if user == "" && s.RequestedUser != "" {
		user = "(" + s.RequestedUser + ")"
	}
	lasted := terminal.Span(cmp.Or(s.Ended, p.now).Sub(s.Started))
	statements, rows := "", ""
	if s.State == store.StateEnded {
		statements, rows = strconv.FormatInt(s.Statements, 10), strconv.FormatInt(s.Rows, 10)
	}
	return p.add([]string{s.Session, s.State, terminal.ShortTime(s.Started), lasted, user, s.ServiceAccount,
		s.Database, s.Client, statements, rows, endOf(s)})
}

func (p *sessionTable) close() error {
	err := p.table.close()
	p.call.noteMissing(p.table)
	return err
}

// noteMissing says which columns a narrow terminal had no room for.
func (c *call) noteMissing(t *table) {
	if titles := t.missing(); len(titles) > 0 {
		c.note("not shown for want of room: %s; --full or a wider terminal shows all", strings.Join(titles, ", "))
	}
}

func paintState(state string) string {
	switch state {
	case store.StateActive:
		return green(state)
	case store.StateRefused:
		return red(state)
	case store.StateAborted:
		return yellow(state)
	}
	return state
}

// endOf is how a session ended, and whether gprxy could follow it until then.
func endOf(s store.Session) string {
	end := terminal.InWords(s.EndReason)
	if s.Doubt != "" {
		end += ", in doubt"
	}
	return end
}
