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
package session
