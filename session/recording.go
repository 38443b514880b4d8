package session

import (
	"context"
	"errors"
	"log/slog"
	"time"

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

// startRecording makes the relay record what passes it. The caller closes.
func (s *session) startRecording(ctx context.Context, r *relay) *recording {
	if s.Statements.Record == RecordNothing {
		return nil
	}
	rec := &recording{events: s.Events, session: s.id, log: s.log}
	rec.ctx, rec.cancel = context.WithCancel(ctx)
	talk := &r.conversation
	rec.statements = &statements{
		config:  s.Statements,
		block:   newBlock(&talk.mu, rec.deliver),
		cancels: s.backend.Cancels,
		talk:    talk,
		names:   names{talk: talk},
		who:     s.identity,
	}
	for _, name := range []string{conformingStrings, clientEncoding} {
		rec.setting(name, s.backend.Parameter(name))
	}
	talk.record = rec.statements
	note := talk.parameters
	talk.parameters = func(name, value string) {
		note(name, value)
		rec.setting(name, value)
	}
	return rec
}

func (rec *recording) deliver(done []store.Statement) {
	rec.events.Defer(store.Event{Session: rec.session, Fact: store.StatementsExecuted{Statements: done}})
}

// awaitRoom holds the session up while the log has more statements to write than memory
// should hold.
func (rec *recording) awaitRoom() error {
	if rec == nil {
		return nil
	}
	return rec.explain(rec.events.Room(rec.ctx))
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
	rec.talk.mu.Lock()
	acts := rec.toAnnounce()
	if len(acts) == 0 {
		rec.before = nil
	}
	started := make([]store.Statement, len(acts))
	for i, act := range acts {
		started[i] = rec.asStarted(act)
	}
	rec.talk.mu.Unlock()
	if len(acts) == 0 {
		return nil
	}
	last, err := rec.events.AppendStarted(rec.ctx, rec.session, started...)
	now := time.Now()
	rec.talk.mu.Lock()
	defer rec.talk.mu.Unlock()
	for i, act := range acts {
		if act.sent = now; err == nil {
			act.seqStarted = last - int64(len(acts)-1-i)
		}
	}
	for _, act := range rec.before {
		act.unsent = err != nil
		if rec.lost { // nothing else will say what became of it
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
	rec.talk.mu.Lock()
	defer rec.talk.mu.Unlock()
	rec.leaving = true
}

// close records what has no outcome, and hands over the rest.
func (rec *recording) close() {
	if rec == nil || rec.closed {
		return
	}
	rec.closed = true
	rec.cancel()
	rec.talk.mu.Lock()
	rec.chunkBegins()
	rec.end()
	rec.talk.mu.Unlock()
	rec.block.close()
}
