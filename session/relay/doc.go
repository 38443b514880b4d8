// Package relay carries what a client and a backend say to each other, follows it, and makes the record of the statements that
// pass. It begins when a client was let in, and ends when its backend was given back.
//
//	relay.go            both directions
//	conversation*.go    who owes whom an answer, from the types of the messages alone
//	statements.go       the record: statement_*.go, action.go and row_buffer.go are its parts, recording.go brings it into the event log
//	ending.go, idle.go  why it ends, and when that loses nothing
//	half_close.go       a client that says no more, and may still read
//	blocked.go, peer_timeout.go   peers that take nothing, or are gone
//	settle.go           the backend is brought to rest and given back
//	restamp.go, inject.go         what gprxy itself says on the way
//	alone.go, accounts.go         statements that others have to hear of
//
// Who runs, and who waits for it:
//
//	what                    begins with        stopped and awaited by
//	reading the client      Run, in its caller's goroutine
//	reading the backend     Run                Run
//	the end of last words   Run (timer)        Run stops it; one that has begun only calls finish, which does nothing twice
//	a look at the peers     WatchPeers (timer) the function that it returns
//	a look at the client    writeToBackend     writeToBackend, when the backend has taken all
//	the handing over        a recorded row     CloseRecord
//
// End, EndIdle, Drain, DrainAfterStatement and Inject may be called by any goroutine between New and RestoreDeadlines, after which nobody
// may; whoever calls them waits for its own.
//
// Locks, in the order in which they are taken: the lock of a look at the peers; writing, held from seeing what the backend sent
// until the client has it; conversation.mu. That guards the conversation, both walkers, how the relay ends, and all of the
// record; it is held while one chunk is walked, never while a socket or the log is waited for. What OnParameter, OnAlone and
// WatchAccounts were given is called under it. An action belongs to whoever has it of: the queue of requests, the failure under
// way, the names (a Bind, by its portal), the unrecorded; when none has it any more it is recycled.
//
// While Run runs, it alone reads and writes both sockets, besides Inject under writing. When it has returned they belong to the
// caller again. Settle then has the backend to itself.
package relay
