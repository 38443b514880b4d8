package relay

import (
	"slices"
	"time"

	"gprxy/pool/wire"
	"gprxy/session/sqltext"
	"gprxy/store"
)

// prepared is the text of a statement as it is recorded: masked, and perhaps cut.
type prepared struct {
	name  string
	text  string
	bytes int64  // of the whole text, when text is cut; else 0
	sum   string // SHA-256 of the whole text in hex, when it is cut and nothing of it was masked
	count int    // how many statements it has; 0: that is not certain
	parts []string

	keyedSum    string         // in place of sum, when something was masked
	room        int            // what a text that is cut may take
	params      sqltext.Params // those that are secret
	twoReadings bool           // see sqltext.Masked
	charset     charset        // of text and name

	parsed    bool     // it stood in a Parse
	recorded  bool     // a row of the log has it
	announced bool     // strict: a statement.started has it
	secret    bool     // something of it is masked
	types     []uint32 // OIDs of its parameters, as far as they are known

	dropsNames bool // its text holds a word that drops prepared statements, as code inside it may
}

// cost is about what it takes in memory.
func (p *prepared) cost() int {
	return 150 + len(p.name) + max(len(p.text), p.room) + 4*len(p.types) + 8*len(p.params)
}

// statements is how many there are in the text; 0 if that is not certain.
func (p *prepared) statements() int {
	if p == nil {
		return 0
	}
	return p.count
}

// part is the text that gave the result at that place, "" if that is not known.
func (p *prepared) part(at int) string {
	switch {
	case p == nil || at >= max(1, len(p.parts)):
		return ""
	case len(p.parts) == 0:
		return p.text
	}
	return p.parts[at]
}

// state is how far a message of the client's has come.
//
//	sent ──body there──> applied ──PostgreSQL's answer──> answered ──> recorded, recycled
//	                        │
//	                        └──an error before it──> undone (names.undo) ──> recorded as skipped, recycled
//
// An action is recorded when its outcome is known: an Execute and a Query at once, a Parse or Bind that no Execute ran at the end
// of its batch. In doubt (see conversation) it is recorded when it is sent, and never again.
type state int

const (
	sent     state = iota
	applied        // what it does to names holds for what is sent behind it
	answered       // PostgreSQL has done it
)

// action is what is to be recorded of one message of the client.
type action struct {
	request byte // wire.Query, Parse, Bind, Describe, Execute, Close or FunctionCall

	stmt   *prepared     // what it runs, makes (Parse) or binds (Bind); nil if that is not known
	portal string        // that it makes (Bind), runs (Execute) or closes
	name   string        // of the statement that it binds, describes or closes
	bound  *action       // Execute: the Bind that made the portal; nil if that is not known
	params []store.Param // Bind, FunctionCall
	secret bool          // one of params names a secret: none of them is kept, nor is PostgreSQL's message

	// What it changed, to be undone if PostgreSQL never does it.
	state           state
	closesStatement bool
	stmtBefore      *prepared
	bindBefore      *action

	parts     int64 // Bind: how often it was executed
	recorded  bool  // Bind: a row of the log has it
	announced bool  // Bind: a statement.started has it
	codes     int   // Bind: names.codes when it was last run, or made
	size      int   // Bind: bytes of params that count as names.values
	textSize  int   // Bind: bytes of its statement that count as names.texts

	sent        time.Time
	in          int64 // bytes
	copies      bool
	copyIn      int64
	copyOut     int64
	cancels     int64 // of the backend before it
	seqStarted  int64 // of its statement.started
	skipped     bool  // PostgreSQL was skipping to the next Sync when it was sent
	withheld    bool  // it never went to PostgreSQL: the log could not be written
	results     []result
	resultsOver int  // how many more there were
	commits     bool // one of the results may have been committed, or is in no transaction
}

// confirm: PostgreSQL has done what the message asked for, so it will not be undone.
func (a *action) confirm() {
	a.state = answered
	a.stmtBefore, a.bindBefore = nil, nil
}

// keeps tells whether the message leaves something that can be run later.
func (a *action) keeps() bool {
	return a.request == wire.Bind || a.request == wire.Parse && a.stmt != nil
}

// exposes tells whether it can be run by other means than a Bind and an Execute, which
// the unnamed statement cannot.
func (a *action) exposes() bool { return a.keeps() && (a.request == wire.Bind || a.stmt.name != "") }

// valuesSize is how many bytes the values of a Bind take.
func (a *action) valuesSize() (n int) {
	for _, p := range a.params {
		n += len(p.Text)
	}
	return n
}

// isRecorded tells whether the log has what the message keeps.
func (a *action) isRecorded() bool {
	return a.request == wire.Bind && a.recorded || a.request == wire.Parse && a.stmt.recorded
}

// keep takes the values.
func (s *statements) keep(a *action, params []store.Param) {
	a.params = params
	a.secret = slices.ContainsFunc(params, func(p store.Param) bool { return s.masking().NamesSecret(p.Text) })
}

// isSecret tells whether text or values may hold secrets.
func (a *action) isSecret() bool {
	return a.secret || a.stmt.isSecret() || a.bound != nil && a.bound.secret
}

// executes tells whether the message runs something.
func (a *action) executes() bool {
	return a.request == wire.Query || a.request == wire.Execute || a.request == wire.FunctionCall
}

// result is what became of one statement of a Query, or of an Execute.
type result struct {
	tag      string
	rows     int64
	out      int64 // bytes
	begun    time.Time
	ended    time.Time
	sqlstate string
	message  string
	outcome  string
	unparsed bool // the error may be that of the whole text
	copies   bool
	copyIn   int64
	copyOut  int64
}

// maxResults is how many results of one Query are told apart. One with more is one
// row, with the figures of all.
const maxResults = 1000

// failedFirst: nothing of a Query was done before it failed.
func (a *action) failedFirst() bool { return len(a.results) == 1 && a.results[0].sqlstate != "" }

// wasEmpty: a Query held no statement.
func (a *action) wasEmpty() bool {
	return len(a.results) == 1 && a.results[0].tag == "" && a.results[0].outcome == ""
}

// add keeps a result.
func (a *action) add(r result) {
	a.commits = a.commits || r.outcome == "" && (stands(r.tag) || mayCommit(r.tag))
	if len(a.results) < maxResults {
		a.results = append(a.results, r)
		return
	}
	last := &a.results[len(a.results)-1]
	r.rows += last.rows
	r.out += last.out
	r.begun = last.begun
	*last = r
	a.resultsOver++
}
