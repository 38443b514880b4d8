// Package export writes events for people and programs elsewhere: in words, as JSON lines, as CSV, and as OCSF.
package export

import (
	"bufio"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"gprxy/cmd/terminal"
	"gprxy/store"
)

// A Printer prints events one after another. Flush shows what was printed so far; Close ends it.
type Printer interface {
	Event(e store.Record) error
	Flush() error
	Close() error
}

// buffered is how many bytes are written at a time.
const buffered = 64 << 10

// Fields are the fields of CSV, and of store.Record as JSON, in this order; stable.
var Fields = []string{"seq", "time", "type", "session", "user", "service_account", "database", "client", "detail", "hash"}

type lines struct {
	out  *bufio.Writer
	line []byte
}

// NewLines prints events as store.Record has them as JSON, one on a line.
func NewLines(w io.Writer) Printer { return &lines{out: bufio.NewWriterSize(w, buffered)} }

func (p *lines) Event(e store.Record) (err error) {
	if p.line, err = e.AppendJSON(p.line[:0]); err != nil {
		return err
	}
	p.line = append(p.line, '\n')
	_, err = p.out.Write(terminal.EscapeJSON(p.line))
	return err
}

func (p *lines) Flush() error { return p.out.Flush() }
func (p *lines) Close() error { return p.out.Flush() }

type csvLines struct {
	out        *csv.Writer
	toTerminal bool
}

// NewCSV prints events as CSV, and the names of its columns now.
func NewCSV(w io.Writer, toTerminal bool) (Printer, error) {
	p := &csvLines{csv.NewWriter(w), toTerminal}
	return p, p.out.Write(Fields)
}

func (p *csvLines) Event(e store.Record) error {
	return p.out.Write([]string{
		strconv.FormatInt(e.Seq, 10),
		e.Time.UTC().Format(store.TimeFormat),
		e.Type,
		e.Session,
		p.name(e.User),
		p.name(e.ServiceAccount),
		p.name(e.Database),
		p.name(e.Client),
		string(terminal.EscapeJSON(e.Detail)),
		hex.EncodeToString(e.Hash[:]),
	})
}

// name is a name that a client chose. A terminal must not obey it, nor a spreadsheet.
func (p *csvLines) name(s string) string {
	if p.toTerminal {
		s = terminal.Printable(s)
	}
	return NoFormula(s)
}

// NoFormula puts ' before a text that begins like a formula, also in the full-width signs that some
// spreadsheets take for the others (https://owasp.org/www-community/attacks/CSV_Injection).
func NoFormula(s string) string {
	if first, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + s
	}
	return s
}

func (p *csvLines) Flush() error {
	p.out.Flush()
	return p.out.Error()
}

func (p *csvLines) Close() error { return p.Flush() }

// ocsfLines writes what has a class in OCSF, and leaves the rest out.
type ocsfLines struct {
	out       *bufio.Writer
	json      *terminal.JSONWriter // to out
	requested requested
	host      string // this machine's name, as far as it is known
	version   string // of gprxy
}

// NewOCSF prints events in the words of OCSF, one on a line; version is gprxy's.
func NewOCSF(w io.Writer, version string) Printer {
	out := bufio.NewWriterSize(w, buffered)
	host, _ := os.Hostname()
	return &ocsfLines{out: out, json: terminal.NewJSONWriter(out), host: host, version: version}
}

func (p *ocsfLines) Event(e store.Record) error {
	event, err := toOCSF(e, &p.requested)
	if err != nil {
		return fmt.Errorf("event %d: %w", e.Seq, err)
	}
	if event == nil {
		return nil
	}
	event.Metadata.Provider, event.Metadata.Product.Version = p.host, p.version
	return p.json.Write(event)
}

func (p *ocsfLines) Flush() error { return p.out.Flush() }
func (p *ocsfLines) Close() error { return p.out.Flush() }
