// The compliance review on a terminal.

package cmd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gprxy/cmd/review"
	"gprxy/cmd/terminal"
	"gprxy/store"
)

// reportSection is a table of the report.
type reportSection struct {
	title   string
	columns []column
	rows    [][]string
	none    string // what to say without rows
}

// mostLines is how many rows of a table are printed; --json and --html have all.
const mostLines = 50

func (o *auditReportOptions) print(c *call, r review.Report) error {
	from := "the beginning of the log"
	if r.Since != nil {
		from = terminal.ShortTime(*r.Since)
	}
	fmt.Fprintf(c.Out, "time       from %s until %s UTC\nsessions   %d of %d people on %s; %d refused\n", from, terminal.ShortTime(r.Until),
		r.Sessions, len(r.People),
		terminal.Counted(int64(len(r.Accounts)), "service account"), r.Refused)
	if r.Chain.Verified {
		fmt.Fprintf(c.Out, "chain      intact, %s; head %d %s\n", terminal.Counted(r.Chain.Events, "event"), r.Chain.HeadSeq, r.Chain.HeadHash)
		for _, d := range r.Chain.Doubts {
			fmt.Fprintf(c.Out, "doubtful   seq %d: %s\n", d.Seq, terminal.Printable(d.What))
		}
	} else {
		fmt.Fprintln(c.Out, "chain      not checked: gprxy audit verify does")
	}
	for _, s := range reportSections(r.Review) {
		if err := o.section(c, s); err != nil {
			return err
		}
	}
	return nil
}

func (o *auditReportOptions) section(c *call, s reportSection) error {
	fmt.Fprintf(c.Out, "\n%s\n", s.title)
	if len(s.rows) == 0 {
		fmt.Fprintf(c.Out, "%s\n", s.none)
		return nil
	}
	t := newTable(c.Out, c.OutWidth, c.colour(c.OutWidth), s.columns)
	for _, row := range s.rows[:min(mostLines, len(s.rows))] {
		if err := t.add(row); err != nil {
			return err
		}
	}
	if err := t.close(); err != nil {
		return err
	}
	if more := len(s.rows) - mostLines; more > 0 {
		fmt.Fprintf(c.Out, "and %d more: --json and --html have all\n", more)
	}
	return nil
}

func reportSections(r *store.Review) []reportSection {
	sections := []reportSection{accountSection(r), personSection(r)}
	if r.Since != nil {
		sections = append(sections, pairSection(r))
	}
	return append(sections,
		reasonSection("Refusals", "nobody was refused", r.Refusals),
		reasonSection("Cancel requests", "none", r.Cancels),
		reasonSection("Sessions that ended otherwise than by their client's wish", "none", r.Abnormal),
		careSection(r.Log))
}

func accountSection(r *store.Review) reportSection {
	s := reportSection{title: "Service accounts", none: "no session was served", columns: []column{
		{title: "ACCOUNT", least: 8}, {title: "SESSIONS", right: true}, {title: "STATEMENTS", right: true, drop: 5},
		{title: "ERRORS", right: true, drop: 6},
		{title: "FIRST", drop: 4}, {title: "LAST"}, {title: "PEOPLE", least: 16}, {title: "FROM", least: 12, drop: 2},
		{title: "WITH", least: 8, drop: 3},
	}}
	for _, a := range r.Accounts {
		s.rows = append(s.rows, []string{a.Account, digits(a.Sessions), digits(a.Statements), digits(a.Errors), terminal.ShortTime(a.First),
			terminal.ShortTime(a.Last),
			shares(a.People), shares(a.Addresses), shares(a.Programs)})
	}
	return s
}

func personSection(r *store.Review) reportSection {
	s := reportSection{title: "People", none: "nobody", columns: []column{
		{title: "PERSON", least: 12}, {title: "SESSIONS", right: true}, {title: "REFUSED", right: true, drop: 3},
		{title: "STATEMENTS", right: true, drop: 4},
		{title: "LAST", drop: 2}, {title: "ACCOUNTS", least: 12}, {title: "FROM", least: 12, drop: 5},
	}}
	for _, p := range r.People {
		s.rows = append(s.rows, []string{p.User, digits(p.Sessions), digits(p.Refused), digits(p.Statements), terminal.ShortTime(p.Last),
			shares(p.Accounts), shares(p.Addresses)})
	}
	return s
}

func pairSection(r *store.Review) reportSection {
	s := reportSection{title: "New: people who used an account for the first time", none: "nobody", columns: []column{
		{title: "PERSON", least: 12}, {title: "ACCOUNT", least: 8}, {title: "FIRST"}, {title: "SESSION", drop: 1},
	}}
	for _, p := range r.NewPairs {
		s.rows = append(s.rows, []string{p.User, p.Account, terminal.ShortTime(p.First), p.Session})
	}
	return s
}

func reasonSection(title, none string, reasons []store.ReasonCount) reportSection {
	s := reportSection{title: title, none: none, columns: []column{{title: "REASON", least: 20}, {title: "TIMES", right: true},
		{title: "LAST"}}}
	for _, r := range reasons {
		s.rows = append(s.rows, []string{terminal.InWords(r.Reason), digits(r.Count), terminal.ShortTime(r.Last)})
	}
	return s
}

// careSection is what is to be known of the log itself.
func careSection(log store.LogCare) reportSection {
	s := reportSection{title: "The log itself", columns: []column{{title: "WHAT", least: 30}, {title: "TIMES", right: true}, {title: "LAST"}}}
	add := func(what string, times int64, last time.Time) {
		s.rows = append(s.rows, []string{what, digits(times), terminal.ShortTime(last)})
	}
	add("starts of the proxy", log.Starts, time.Time{})
	add("orderly stops of it", log.Stops, time.Time{})
	for _, g := range log.Gaps {
		what := fmt.Sprintf("GAP: could not be written since %s, %s lost", terminal.ShortTime(g.Since), terminal.Counted(g.Lost, "event"))
		if g.Reason == store.GapKilled {
			what = fmt.Sprintf("GAP: killed after %s; statements of its last %d ms may be missing", terminal.ShortTime(g.Since), g.Window)
		}
		add(what, 1, g.Until)
	}
	for _, c := range log.Condensed {
		add("counted, not recorded: "+terminal.InWords(c.Reason), c.Count, c.Last)
	}
	for _, p := range log.Pruned {
		add("pruned by "+p.By+", from before "+p.Before.Format(time.DateOnly), p.Events, p.Last)
	}
	for _, r := range log.Readers {
		add("read by "+r.OSUser+" with "+r.Command, r.Count, r.Last)
	}
	return s
}

// shares is the first names, and how many more there are.
func shares(all []store.Share) string {
	const few = 3
	var names []string
	for _, s := range all[:min(few, len(all))] {
		name := s.Name
		if name == "" {
			name = "(none)"
		}
		names = append(names, fmt.Sprintf("%s (%d)", name, s.Sessions))
	}
	if more := len(all) - few; more > 0 {
		than := ""
		if all[len(all)-1].Name == store.OtherNames {
			than = "more than "
		}
		names = append(names, fmt.Sprintf("and %s%d more", than, more))
	}
	return strings.Join(names, ", ")
}

func digits(n int64) string { return strconv.FormatInt(n, 10) }
