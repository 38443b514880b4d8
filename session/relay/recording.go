package relay

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gprxy/auth"
	"gprxy/session/refusal"
	"gprxy/store"
)

// A recording brings the statements of one session into the event log. The methods of
// a nil recording, of a session whose statements are not recorded, do nothing.
type recording struct {
	*statements
	events  *store.DB
	session string
	log     *slog.Logger
	ctx     context.Context // ends with the relay
	cancel  context.CancelFunc
	closed  bool
}

// A Log is where the statements of a session are recorded, and as what.
type Log struct {
	Events     *store.DB
	Session    string
	Statements Statements
	Person     auth.Identity
	Backend    interface {
		Cancels() int64               // how many cancel requests it was sent
		Parameter(name string) string // what it reported last
	}
	Log *slog.Logger
}

// Record makes the relay record what passes it. It is called before Run; CloseRecord must be called. ctx ends waits for the log.
func (r *Relay) Record(ctx context.Context, to Log) {
	if to.Statements.Record == RecordNothing {
		return
	}
	rec := &recording{events: to.Events, session: to.Session, log: to.Log}
	rec.ctx, rec.cancel = context.WithCancel(ctx)
	conv := &r.conversation
	rec.statements = &statements{
		config:  to.Statements,
		done:    newRowBuffer(&conv.mu, rec.deliver),
		cancels: to.Backend.Cancels,
		conv:    conv,
		names:   names{conv: conv},
		who:     to.Person,
	}
	for _, name := range []string{conformingStrings, clientEncoding, serverVersion} {
		rec.setting(name, to.Backend.Parameter(name))
	}
	conv.record, r.recording = rec.statements, rec
	report := conv.parameters
	conv.parameters = func(name, value string) {
		if report != nil {
			report(name, value)
		}
		rec.setting(name, value)
	}
}

// ClientLeft says that what still comes from PostgreSQL is an answer to gprxy's own doing.
func (r *Relay) ClientLeft() { r.recording.clientLeft() }

// CloseRecord records what has no outcome, and hands all over to the log. It may be called more than once.
func (r *Relay) CloseRecord() { r.recording.close() }

func (rec *recording) deliver(done []store.Statement) {
	rec.events.Enqueue(store.Event{Session: rec.session, Fact: store.StatementsExecuted{Statements: done}})
}

// awaitRoom holds the session up while the log has more statements to write than memory
// should hold.
func (rec *recording) awaitRoom() error {
	if rec == nil {
		return nil
	}
	return rec.explain(rec.events.WaitForSpace(rec.ctx))
}

// announce makes durable what is about to be sent, if that is wanted: without a record
// nothing is run.
func (rec *recording) announce() error {
	if rec == nil {
		return nil
	}
	if rec.unreadable != nil || !rec.config.Strict {
		return rec.unreadable
	}
	rec.conv.mu.Lock()
	acts := rec.toAnnounce()
	if len(acts) == 0 {
		rec.before = nil
	}
	started := make([]store.Statement, len(acts))
	for i, act := range acts {
		started[i] = rec.asStarted(act)
	}
	rec.conv.mu.Unlock()
	if len(acts) == 0 {
		return nil
	}
	last, err := rec.events.AppendStarted(rec.ctx, rec.session, started...)
	now := time.Now()
	rec.conv.mu.Lock()
	defer rec.conv.mu.Unlock()
	for i, act := range acts {
		if act.sent = now; err == nil {
			act.seqStarted = last - int64(len(acts)-1-i)
		}
	}
	for _, act := range rec.before {
		act.withheld = err != nil
		if rec.desynced { // nothing else will say what became of it
			rec.storeAnnounced(act)
		}
	}
	rec.before = nil
	if err != nil && rec.ctx.Err() == nil {
		rec.log.Error("statements were not run, because they could not be recorded", "statements", len(acts), "error", err)
	}
	return rec.explain(err)
}

// explain turns a failure of the log into what the client is told of it.
func (rec *recording) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrClosed), rec.ctx.Err() != nil:
		return refusal.ErrShutdown // if it is not ending for another reason already
	}
	return refusal.ErrNotRecorded
}

// interrupt ends a wait for the log.
func (rec *recording) interrupt() {
	if rec != nil {
		rec.cancel()
	}
}

// clientLeft: what still comes from PostgreSQL is an answer to gprxy's own doing.
func (rec *recording) clientLeft() {
	if rec == nil {
		return
	}
	rec.conv.mu.Lock()
	defer rec.conv.mu.Unlock()
	rec.leaving = true
}

// close records what has no outcome, and hands over the rest.
func (rec *recording) close() {
	if rec == nil || rec.closed {
		return
	}
	rec.closed = true
	rec.cancel()
	rec.conv.mu.Lock()
	rec.chunkBegins()
	rec.end()
	rec.conv.mu.Unlock()
	rec.done.close()
}
