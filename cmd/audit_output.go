// How events are printed: JSON lines, CSV, or a table with the detail in words.

package cmd

import (
	"fmt"
	"strings"

	"gprxy/cmd/export"
	"gprxy/cmd/terminal"
	"gprxy/store"
)

func (o *auditOptions) printer(c *call) (export.Printer, error) {
	switch {
	case o.json:
		return export.NewLines(c.Out), nil
	case o.csv:
		return export.NewCSV(c.Out, c.OutWidth > 0)
	}
	p := &eventTable{newTable(c.Out, c.OutWidth, c.colour(c.OutWidth), eventColumns()), c}
	p.full = o.full
	if o.follow {
		return p, p.live()
	}
	return p, nil
}

func eventColumns() []column {
	return []column{
		{title: "SEQ", right: true, live: 6},
		{title: "TIME", live: 19},
		{title: "TYPE", live: 17, paint: paintType},
		{title: "SESSION", live: 16, drop: 6},
		{title: "USER", least: 10, live: 24},
		{title: "ACCOUNT", least: 8, live: 14, drop: 4},
		{title: "DATABASE", least: 8, live: 12, drop: 5},
		{title: "CLIENT", least: 12, live: 21, drop: 7},
		{title: "DETAIL", least: 36, live: 60},
	}
}

type eventTable struct {
	*table
	call *call
}

func (p *eventTable) Event(e store.Record) error {
	return p.add([]string{fmt.Sprint(e.Seq), terminal.ShortTime(e.Time), e.Type, e.Session, e.User, e.ServiceAccount,
		e.Database, e.Client, export.Describe(e.Type, e.Detail)})
}

func (p *eventTable) Flush() error { return p.out.Flush() }

func (p *eventTable) Close() error {
	err := p.table.close()
	p.call.noteMissing(p.table)
	return err
}

func paintType(t string) string {
	for _, bad := range []string{".failed", ".denied", ".refused", ".rejected"} {
		if strings.HasSuffix(t, bad) {
			return red(t)
		}
	}
	return t
}
