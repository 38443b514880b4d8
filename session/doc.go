// Package session serves one client connection, from its first byte to its last.
//
// The protocol, as far as gprxy takes part in it (PostgreSQL manual, chapter
// "Frontend/Backend Protocol"):
//
//	client                      gprxy                         PostgreSQL
//	  | SSLRequest                |                                |
//	  |-------------------------->| S, then TLS                    |
//	  | StartupMessage            |                                |
//	  |-------------------------->|                                |
//	  |  CleartextPassword asked  |                                |
//	  |<--------------------------|                                |
//	  | password or token         | who is it? which account?      |
//	  |-------------------------->| events durable                 |
//	  |                           | a pooled backend of the account|
//	  |                           |------------------------------->|
//	  | AuthenticationOk          | session.started durable        |
//	  | ParameterStatus...        |                                |
//	  | BackendKeyData, Ready     |                                |
//	  |<--------------------------|                                |
//	  |===========================|================================|
//	  |        the relay: both directions, unchanged               |
//	  |===========================|================================|
//	  | Terminate, or gone        | cancel, ROLLBACK, DISCARD ALL  |
//	  |-------------------------->|------------------------------->|
//	                              | session.ended                  |
//
// A CancelRequest comes on a connection of its own: startup finds it, cancel
// answers it.
//
// handler.go tells a session's life on one page; each step has a file of its
// name. Steps return errors; only the handler tells the client about them, and
// package refusal alone decides what it may read.
//
// What is known of a session has a part for each stage (session.go): client from
// accept on, asked from the startup packet on, login while it is under way, served
// from the authentication on. A stage writes its own part; later ones read it.
//
// Who runs, and who waits for it:
//
//	what                          begins with            stopped and awaited by
//	the session                   listener, ServeConn    listener's Shutdown; ends with its context
//	the login, on a stack of
//	its own                       enterAside             enterAside
//	the login's deadline          limitLogin (timer)     done of limitLogin stops it; it only ends a context
//	a look for a client that
//	leaves meanwhile              WatchDisconnect        its Stop
//	what a context's end does     socket.WhenDone        the stop that it returns
//	the word that it waits        pool.Acquire (timer)   pool.Acquire
//	how long it may last          watchTime (timers)     the stop that it returns
//	counts of many refusals       admission.Condenser    Handler.Close
//	the end of arrivalGrace       Drain (timer)          nobody; it only ends a context
//	all of a relay                package relay          serve
//
// Locks: those of cancelKeys and passwordChanges guard their maps, those of package
// admission its own; each is held while nothing is waited for and no other is taken.
// All else belongs to the goroutine of the session, while enterAside waits to that of
// the login.
//
// What belongs to whom: the client's connection to the listener, which closes it; the
// lease to the session from Acquire until Settle or Discard; the key of cancel
// requests to cancelKeys from lease until the relay has ended, so that no cancel
// reaches a backend that is being settled.
package session
