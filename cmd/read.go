// What the commands that read the event log have in common.

package cmd

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gprxy/cmd/settings"
	"gprxy/store"
)

const maxNoted = 1024 // bytes of the filter that a log.read event keeps

// readOptions are the flags of every command that reads the log.
type readOptions struct {
	path string // of the event log, complete after validate
}

func (o *readOptions) flags(fs *pflag.FlagSet) {
	settings.AddFlags(fs, "EVENT_LOG")
	fs.Lookup("event-log").Usage = "the `FILE` to read; else the setting EVENT_LOG"
}

func (o *readOptions) validate(c *call) error {
	s, warnings, err := settings.LoadOnly(c.sources(), "EVENT_LOG")
	c.warn(warnings...)
	o.path = s.EventLog
	return err
}

// open opens the log for reading and leaves a log.read event in it. The caller closes the reader. The
// event is best effort: an auditor may have been given a file that only the proxy can write.
func (o *readOptions) open(ctx context.Context, c *call) (*store.Reader, error) {
	r, err := store.OpenReader(ctx, o.path)
	if err != nil {
		return nil, err
	}
	read := store.LogRead{OSUser: c.OSUser, Command: c.command.name, Filter: typed(c.line)}
	if err := store.NoteRead(ctx, o.path, read); err != nil && ctx.Err() == nil {
		c.warn("this reading is not in the log: " + err.Error())
	}
	return r, nil
}

// typed is the command line as a person would type it again, cut to what an event may hold.
func typed(line []string) string {
	words := make([]string, len(line))
	for i, w := range line {
		words[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$") {
			words[i] = strconv.Quote(w)
		}
	}
	all := strings.Join(words, " ")
	if len(all) > maxNoted {
		all = strings.ToValidUTF8(all[:maxNoted], "") + "…"
	}
	return all
}

// filterOptions are the flags that narrow both sessions and audit.
type filterOptions struct {
	user, serviceAccount, database string
	requestedUser                  string
	sinceText, untilText           string
	limit                          limit

	since, until time.Time // complete after validate; zero: open
}

func (o *filterOptions) flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.user, "user", "", "only this `PERSON`, as the login proved it")
	fs.StringVar(&o.requestedUser, "requested-user", "", "only sessions whose client asked for this `NAME`, whoever it proved to be")
	fs.StringVar(&o.serviceAccount, "service-account", "", "only sessions served by this PostgreSQL `ROLE`")
	fs.StringVar(&o.database, "database", "", "only this database `NAME`")
	fs.StringVar(&o.sinceText, "since", "", "from this `TIME` on: 90s, 1h or 7d ago, a date, or RFC 3339; UTC")
	fs.StringVar(&o.untilText, "until", "", "before this `TIME`, written like --since")
	fs.Var(&o.limit, "limit", "at most `N`, the newest; 0 for all")
}

func (o *filterOptions) validate(c *call) error {
	if err := noEmptyFlag(c.set); err != nil {
		return err
	}
	var err error
	now := c.Now()
	if o.since, err = moment("since", o.sinceText, now); err != nil {
		return err
	}
	if o.until, err = moment("until", o.untilText, now); err != nil {
		return err
	}
	if !o.since.IsZero() && !o.until.IsZero() && !o.since.Before(o.until) {
		return usagef("an earlier --since, or a later --until", "--since %s is not before --until %s", o.sinceText, o.untilText)
	}
	return nil
}

func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, ok := parseMoment(text, now)
	if !ok {
		return t, wrongValue(flag, text, "--"+flag+" with one of "+momentExamples)
	}
	return t, nil
}

// noEmptyFlag refuses --user "" and the like: an empty shell variable must not mean everybody.
func noEmptyFlag(fs *pflag.FlagSet) error {
	var err error
	fs.Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" && f.Name != "event-log" && err == nil {
			err = usagef("leave --"+f.Name+" out to see all", "--%s is empty", f.Name)
		}
	})
	return err
}

// limit is a whole number that is not negative.
type limit int

func (l *limit) String() string { return strconv.Itoa(int(*l)) }
func (l *limit) Type() string   { return "number" }

func (l *limit) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return &badFlag{instead: "--limit with a whole number, 0 for all"}
	}
	*l = limit(n)
	return nil
}
