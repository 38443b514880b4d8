// PostgreSQL's log, and what it says of each actor: the first of the two books that are held against each other.
package main

import (
	"encoding/csv"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// entry is one line of the log that matters here.
type entry struct {
	backend  string // the session of PostgreSQL's: pids are used again
	vxid     string // of the transaction
	severity string
	sqlstate string
	message  string
	query    string // of an error
}

// The columns of PostgreSQL's CSV log that are read; all versions have them in these places.
const (
	columnUser     = 1
	columnDatabase = 2
	columnBackend  = 5
	columnVXID     = 9
	columnSeverity = 11
	columnSQLState = 12
	columnMessage  = 13
	columnQuery    = 19
)

// entriesOf reads the lines of one database.
func entriesOf(log, database string) (all []entry, err error) {
	r := csv.NewReader(strings.NewReader(log))
	r.FieldsPerRecord = -1
	records, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read PostgreSQL's log: %w", err)
	}
	for _, f := range records {
		if len(f) > columnQuery && f[columnUser] == account && f[columnDatabase] == database {
			all = append(all, entry{f[columnBackend], f[columnVXID], f[columnSeverity], f[columnSQLState], f[columnMessage], f[columnQuery]})
		}
	}
	return all, nil
}

// marked finds the mark of a text: the actor and the number.
var marked = regexp.MustCompile(`/\*([a-z0-9]+x[0-9]+)\.([0-9]+)\*/`)

// markOf gives the first mark of a text; ok is false if it has none.
func markOf(text string) (actor string, n int, ok bool) {
	m := marked.FindStringSubmatch(text)
	if m == nil {
		return "", 0, false
	}
	n, err := strconv.Atoi(m[2])
	return m[1], n, err == nil
}

// ran is one text that PostgreSQL began to run.
type ran struct {
	text     string
	simple   bool   // by a Query
	over     bool   // and so outcome is known
	sqlstate string // "" is success
	vxid     string // of the transaction
	undone   string // SQLSTATE of the error at the Sync behind it, which took its transaction back
	place    int    // in the order of the log
}

// blank: it is a portal whose text PostgreSQL does not know any more, since it survived a rollback, or a Query that failed left it.
func (r *ran) blank() bool { return r.text == "" && !r.simple }

// book is what PostgreSQL did for one actor.
type book struct {
	texts  map[int]string // by number, as PostgreSQL had them
	runs   map[int][]*ran
	parsed map[int]int
	named  map[int]bool // parsed with a name
	bound  map[int]int
	failed map[int]map[string]int // errors outside a run, by the text they name
	loose  map[string]int         // and those that name none
	total  map[string]int         // all errors
	calls  []*ran
	lines  []string // as they came, for people
	blank  int      // runs that are blank
}

func newBook() *book {
	return &book{texts: map[int]string{}, runs: map[int][]*ran{}, parsed: map[int]int{}, named: map[int]bool{}, bound: map[int]int{},
		failed: map[int]map[string]int{}, loose: map[string]int{}, total: map[string]int{}}
}

// ledger is what PostgreSQL did for all.
type ledger struct {
	books map[string]*book
	wrong []string // what nobody can have sent
	place int
}

// following is where the reading of one backend's lines stands.
type following struct {
	actor  string // whose the lines are
	open   *ran   // begun and not over
	own    bool   // that is gprxy's
	latest string // text that was run
	done   []*ran // by Execute, and in the transaction of the last of them
	over   string // the text of the message that was done last
	past   map[string]bool
}

// readLedger goes through the lines. Statements without a mark must be gprxy's own.
func readLedger(entries []entry) *ledger {
	l := &ledger{books: map[string]*book{}}
	backends := map[string]*following{}
	for _, e := range entries {
		f := backends[e.backend]
		if f == nil {
			f = &following{past: map[string]bool{}}
			backends[e.backend] = f
		}
		l.place++
		l.take(f, e)
		b := l.book(f.actor)
		b.lines = append(b.lines, shorten(fmt.Sprintf("%s %s %s: %s", e.backend, e.severity, e.sqlstate, e.message)))
	}
	return l
}

func (l *ledger) book(actor string) *book {
	b := l.books[actor]
	if b == nil {
		b = newBook()
		l.books[actor] = b
	}
	return b
}

var (
	duration = regexp.MustCompile(`(?s)^duration: [0-9.]+ ms(?:  (parse|bind) (\S+): (.*))?$`)
	started  = regexp.MustCompile(`(?s)^(statement|execute [^:]*|fastpath function call): (.*)$`)
)

func (l *ledger) take(f *following, e entry) {
	switch e.severity {
	case "LOG":
		if m := duration.FindStringSubmatch(e.message); m != nil {
			l.done(f, m[1], m[2], m[3])
		} else if m := started.FindStringSubmatch(e.message); m != nil {
			l.begin(f, e, m[1], m[2])
		}
	case "ERROR", "FATAL", "PANIC":
		l.fail(f, e)
	}
}

// whose moves on to the actor of a text. Nobody comes back to a backend that somebody else had since.
func (l *ledger) whose(f *following, text string) (n int, marked bool) {
	actor, n, ok := markOf(text)
	if !ok {
		return 0, false
	}
	if actor != f.actor {
		if f.past[actor] {
			l.wrong = append(l.wrong, fmt.Sprintf("%q ran after %s had the backend", text, f.actor))
		}
		f.actor = actor
		f.past[actor] = true
	}
	return n, true
}

func (l *ledger) begin(f *following, e entry, how, text string) {
	r := &ran{text: text, simple: how == "statement", vxid: e.vxid, place: l.place}
	defer func() { f.latest = text }()
	f.open, f.own = r, false
	if how == "fastpath function call" {
		b := l.book(f.actor)
		b.calls = append(b.calls, r)
		return
	}
	n, ok := l.whose(f, text)
	if !ok && r.blank() {
		l.book(f.actor).blank++
		return
	}
	if !ok {
		f.own = true
		if !isOwn(text) {
			l.wrong = append(l.wrong, fmt.Sprintf("PostgreSQL ran %q (%s) after %q of %s, which is neither gprxy's nor anybody's",
				text, how, f.latest, f.actor))
		}
		return
	}
	b := l.book(f.actor)
	b.texts[n] = text
	b.runs[n] = append(b.runs[n], r)
}

// done is the end of what is open, or a text that was parsed or planned.
func (l *ledger) done(f *following, what, name, text string) {
	if what == "" {
		if f.open != nil {
			f.over = f.open.text
			f.finish()
		}
		return
	}
	f.over = text
	n, ok := l.whose(f, text)
	if !ok {
		return
	}
	b := l.book(f.actor)
	b.texts[n] = text
	if what == "parse" {
		b.parsed[n]++
		b.named[n] = b.named[n] || name != "<unnamed>"
	} else {
		b.bound[n]++
	}
}

// finish: what is open is done.
func (f *following) finish() {
	r := f.open
	f.open = nil
	r.over = true
	if r.simple || len(f.done) > 0 && f.done[0].vxid != r.vxid {
		f.done = nil
	}
	if !r.simple {
		f.done = append(f.done, r)
	}
}

// undo: an error that is of nothing that was begun came in a transaction. What was executed in it may be told as failed.
func (f *following) undo(e entry) {
	for _, r := range f.done {
		if r.vxid == e.vxid {
			r.undone = e.sqlstate
		}
	}
	f.done = nil
}

func (l *ledger) fail(f *following, e entry) {
	open := f.open
	f.open = nil
	if open != nil {
		open.over, open.sqlstate = true, e.sqlstate
		if f.own {
			return
		}
	}
	n, ok := 0, false
	if open == nil {
		n, ok = l.whose(f, e.query)
	}
	b := l.book(f.actor)
	b.total[e.sqlstate]++
	behind := open == nil && f.over != "" && f.over == e.query
	if open == nil {
		f.undo(e)
	}
	switch {
	case open != nil && open.blank(): // refused, and the log may know of which text
		b.loose[e.sqlstate]++
	case open != nil:
	case behind: // it came after the message was done, while its end was logged, so it may be told of what comes next
		b.loose[e.sqlstate]++
	case ok:
		b.texts[n] = e.query
		if b.failed[n] == nil {
			b.failed[n] = map[string]int{}
		}
		b.failed[n][e.sqlstate]++
	default:
		b.loose[e.sqlstate]++
	}
}
