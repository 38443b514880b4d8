// What a session ran: the facts that carry statements.

package store

import (
	"sync"
	"time"
)

// Statement is one statement, or one part of a portal that was fetched in parts. Absent values are
// zero. Its JSON is what the log holds; the rules of Fact apply to it.
type Statement struct {
	Kind string `json:"kind"` // KindSimple or another of these

	// SQL is the text, cut or whole. The log keeps it here or, if it was parsed, is long or comes
	// again, once in the table texts, of which TextID is then the row. The writer decides and sets
	// TextID; a Reader gives both.
	SQL        string `json:"sql,omitempty"`
	TextID     int64  `json:"text,omitempty"`
	TextBytes  int64  `json:"text_bytes,omitempty"`  // of the whole text, when SQL is cut
	TextSHA256 string `json:"text_sha256,omitempty"` // of the whole text in hex, when SQL is cut

	Name   string  `json:"name,omitempty"` // of the prepared statement
	Portal string  `json:"portal,omitempty"`
	Params []Param `json:"params,omitempty"`

	Tag      string `json:"tag,omitempty"` // the command tag's verb, as PostgreSQL sent it
	Rows     int64  `json:"rows,omitempty"`
	SQLState string `json:"sqlstate,omitempty"`
	Message  string `json:"message,omitempty"`

	// AtUS is when it began, from the time of the event on, which is the end of the first statement
	// beside it: it may be negative. The writer computes it from Start.
	AtUS int64 `json:"at_us,omitempty"`
	US   int64 `json:"us,omitempty"` // how long it took

	TxStatus string `json:"tx,omitempty"` // I, T or E after it; "" if that is not known
	BytesIn  int64  `json:"in,omitempty"`
	BytesOut int64  `json:"out,omitempty"`
	CopyIn   int64  `json:"copy_in,omitempty"` // bytes of COPY data
	CopyOut  int64  `json:"copy_out,omitempty"`
	Outcome  string `json:"outcome,omitempty"` // "" is ok
	Part     int64  `json:"part,omitempty"`    // counts the parts of a portal from 1

	SeqStarted int64 `json:"seq_started,omitempty"` // of its statement.started

	// Doubt is why gprxy could no longer tell which answer was whose when the statement was sent or
	// under way: its outcome is OutcomeUnknown then. "" is the usual case, no doubt.
	Doubt string `json:"doubt,omitempty"`

	// Masking is MaskingTwoReadings if SQL can be read in more than one way, and what one of them takes
	// for a secret the other does not. "" is the usual case: there is one reading.
	Masking  string `json:"masking,omitempty"`
	TextHMAC string `json:"text_hmac,omitempty"` // in place of TextSHA256 when something of SQL is masked: a keyed hash

	// Encoding is the client encoding from which SQL was decoded, or EncodingBytes or EncodingUnsure. "" is
	// the usual case: SQL is in ASCII, or the client sent it in UTF-8.
	Encoding string `json:"encoding,omitempty"`

	Start  time.Time `json:"-"` // for the writer
	Parsed bool      `json:"-"` // for the writer: the text stood in a Parse
}

// The kinds of statements. KindParse and KindBind are of the extended protocol too: a text that was
// prepared, and a portal that was opened, with no Execute to run it. Other ways can: EXECUTE and
// FETCH in SQL, a function; and planning alone runs what seems immutable.
const (
	KindSimple   = "simple"
	KindExtended = "extended"
	KindFunction = "function"
	KindCopy     = "copy"
	KindParse    = "parse"
	KindBind     = "bind"
)

// The outcomes of statements other than ok.
const (
	OutcomeError     = "error"     // PostgreSQL sent an error
	OutcomeSkipped   = "skipped"   // not run: an error before it made PostgreSQL skip to the next Sync
	OutcomeSuspended = "suspended" // the portal has more rows
	OutcomeCut       = "cut"       // the session or its backend was lost before the outcome was known
	OutcomeCancelled = "cancelled" // an error that a cancel request brought about
	OutcomeUnknown   = "unknown"   // sent, but the answers could not be told apart any more
)

// MaskingTwoReadings: it depends on a setting that was perhaps about to change where the literals of the
// text end. What is a value in one reading and code in the other was left to be read.
const MaskingTwoReadings = "two readings"

// What Encoding says besides names of encodings.
const (
	EncodingBytes  = "bytes"  // it could not be decoded: SQL has bytes beyond ASCII as \xE9, and two backslashes for each
	EncodingUnsure = "unsure" // client_encoding was perhaps about to change: SQL is what the bytes say in UTF-8
)

// Param is a bind value. Its JSON is null, the text, {"base64":"…"}, or {"cut":true}.
type Param struct {
	Text   string // as people write the value, or its bytes in base64
	Null   bool
	Base64 bool
	Cut    bool // the value, and those after it, were too large to be kept
}

// StatementsExecuted are statements that one session finished within a moment of each other; each has
// its own seq. The event's time is the end of the first, whatever Event.Time says. The writer owns
// the slice from Append or Enqueue on.
type StatementsExecuted struct {
	Statements []Statement `json:"statements"`
}

// written are the slices of events that were written, for Block. Garbage that grows with the number of
// statements would cost as much as the rest of recording them.
var written sync.Pool

// Block gives an empty slice for StatementsExecuted, if there is one whose statements were written.
func Block() []Statement {
	if b, ok := written.Get().(*[]Statement); ok {
		return *b
	}
	return nil
}

// recycle takes back the slice of an event that nobody needs any more.
func (e *encoded) recycle() {
	block := e.statements
	e.statements = nil
	if e.typ == (StatementsExecuted{}).Type() {
		clear(block)
		block = block[:0]
		written.Put(&block)
	}
}

// StatementStarted says that the statement is about to be sent to PostgreSQL.
type StatementStarted struct {
	Statement
}

func (StatementsExecuted) Type() string { return "statement.executed" }
func (StatementStarted) Type() string   { return "statement.started" }

func (StatementsExecuted) fact() {}
func (StatementStarted) fact()   {}

// end is when the statement was over.
func (s Statement) end() time.Time { return s.Start.Add(time.Duration(s.US) * time.Microsecond) }

// size is about how many bytes the statement takes in memory, and at most in the log.
func (s *Statement) size() int {
	n := 200 + len(s.SQL) + len(s.Name) + len(s.Portal) + len(s.Message)
	for _, p := range s.Params {
		n += 16 + len(p.Text)
	}
	return n
}

// MarshalJSON gives the value as the log holds it.
func (p Param) MarshalJSON() ([]byte, error) { return appendParam(nil, p), nil }

// decodeObject reads what is no text.
func (p *Param) decodeObject(b []byte) error {
	if string(b) == cutParam {
		p.Cut = true
		return nil
	}
	p.Base64 = true
	return decodeField(b, "base64", &p.Text)
}

// cutParam is the JSON of a value that was not kept.
const cutParam = `{"cut":true}`

// UnmarshalJSON reads what MarshalJSON gives.
func (p *Param) UnmarshalJSON(b []byte) error {
	*p = Param{Null: string(b) == "null"}
	switch {
	case p.Null:
		return nil
	case len(b) > 0 && b[0] == '{':
		return p.decodeObject(b)
	}
	return decodeString(b, &p.Text)
}
