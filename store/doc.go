// Package store keeps the event log: what happened, in order, durable, and provable.
//
// An event is a past-tense fact. It is appended to one SQLite file, in one
// transaction with the row of the sessions projection that it changes, and
// carries the hash of the event before it:
//
//	Append ─┐                        events   (append-only, hash chain)
//	Append ─┼─> writer: one batch,  ─┤                                    ─> commit, fsync ─> every waiter is told
//	Enqueue┘    one transaction      sessions (pure fold of the events)
//
// The parts, by file: event.go the facts; session.go the fold; chain.go the hash;
// db.go the proxy's handle; writer.go group commit and outages; batch.go one
// transaction; reader.go, sessions.go, events.go and verify.go the questions.
// docs/audit.md describes the file for people who read it with other tools.
//
// Who runs, and who waits for it: one goroutine, the writer, begins with Open and ends with Close, which waits for it. It alone
// has the file open for writing; it owns the appender, the file's lock and all that is marked so in DB. Verify starts one
// goroutine for each of its connections to the file, and one that hands out the work, and waits for them. A Reader and a follower
// start none.
//
// Locks: DB.mu guards the queue and how the log is; it is never held across I/O, and no other is taken under it. Append,
// Enqueue, AppendStarted and WaitForSpace may be called by any goroutine until Close; what they are given belongs to the store from
// then on.
package store
