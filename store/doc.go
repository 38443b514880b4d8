// Package store keeps the event log: what happened, in order, durable, and provable.
//
// An event is a past-tense fact. It is appended to one SQLite file, in one
// transaction with the row of the sessions projection that it changes, and
// carries the hash of the event before it:
//
//	Append ─┐                        events   (append-only, hash chain)
//	Append ─┼─> writer: one batch,  ─┤                                    ─> commit, fsync ─> every waiter is told
//	Defer  ─┘   one transaction      sessions (pure fold of the events)
//
// The parts, by file: event.go the facts; session.go the fold; chain.go the hash;
// db.go the proxy's handle; writer.go group commit and outages; batch.go one
// transaction; reader.go, sessions.go, events.go and verify.go the questions.
// docs/audit.md describes the file for people who read it with other tools.
package store
