// How events are printed: JSON lines, CSV, or a table with the detail in words.

package cmd

import (
	"bufio"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"gprxy/store"
)

// eventPrinter prints events one after another. flush shows what was printed so far; close ends it.
type eventPrinter interface {
	event(e store.Record) error
	flush() error
	close() error
}

func (o *auditOptions) printer(c *call) (eventPrinter, error) {
	switch {
	case o.json:
		return &eventLines{out: bufio.NewWriter(c.Out)}, nil
	case o.csv:
		p := &eventCSV{csv.NewWriter(c.Out), c.OutWidth > 0}
		return p, p.out.Write(eventFields)
	}
	p := &eventTable{newTable(c.Out, c.OutWidth, c.colour(c.OutWidth), eventColumns()), c}
	p.full = o.full
	if o.follow {
		return p, p.live()
	}
	return p, nil
}

// eventFields are the fields of --csv, and of store.Record as JSON, in this order; stable.
var eventFields = []string{"seq", "time", "type", "session", "user", "service_account", "database", "client", "detail", "hash"}

type eventLines struct {
	out  *bufio.Writer
	line []byte
}

func (p *eventLines) event(e store.Record) (err error) {
	if p.line, err = e.AppendJSON(p.line[:0]); err != nil {
		return err
	}
	p.line = append(p.line, '\n')
	_, err = p.out.Write(escapeJSON(p.line))
	return err
}

func (p *eventLines) flush() error { return p.out.Flush() }
func (p *eventLines) close() error { return p.out.Flush() }

type eventCSV struct {
	out      *csv.Writer
	terminal bool
}

func (p *eventCSV) event(e store.Record) error {
	return p.out.Write([]string{
		strconv.FormatInt(e.Seq, 10),
		e.Time.UTC().Format(store.TimeFormat),
		e.Type,
		e.Session,
		p.name(e.User),
		p.name(e.ServiceAccount),
		p.name(e.Database),
		p.name(e.Client),
		string(escapeJSON(e.Detail)),
		hex.EncodeToString(e.Hash[:]),
	})
}

// name is a name that a client chose. A terminal must not obey it, nor a spreadsheet.
func (p *eventCSV) name(s string) string {
	if p.terminal {
		s = printable(s)
	}
	return noFormula(s)
}

// noFormula puts ' before a text that begins like a formula, also in the full-width signs that some
// spreadsheets take for the others (https://owasp.org/www-community/attacks/CSV_Injection).
func noFormula(s string) string {
	if first, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + s
	}
	return s
}

func (p *eventCSV) flush() error {
	p.out.Flush()
	return p.out.Error()
}

func (p *eventCSV) close() error { return p.flush() }

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

func (p *eventTable) event(e store.Record) error {
	return p.add([]string{fmt.Sprint(e.Seq), shortTime(e.Time), e.Type, e.Session, e.User, e.ServiceAccount,
		e.Database, e.Client, describe(e.Type, e.Detail)})
}

func (p *eventTable) flush() error { return p.out.Flush() }

func (p *eventTable) close() error {
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
