package store

// Why a session ended, as session.ended and session.refused have it. The names are public. A refusal may have another reason
// than these, the word of its error (package refusal in session).
const (
	EndLeftBeforeLogin = "left_before_login"  // it was never let in, nor refused
	EndLeftWaiting     = "left_while_waiting" // for a connection to PostgreSQL
	EndTokenDiscovery  = "token_discovery"    // it only asked where to get a token
	EndTerminated      = "client_terminated"  // it said goodbye
	EndClientGone      = "client_gone"        // it went without a word
	EndBackendGone     = "backend_gone"       // PostgreSQL closed its connection
	EndShutdown        = "shutdown"           // of gprxy
	EndIdleTimeout     = "idle_timeout"       // nothing was run for as long as IDLE_TIMEOUT allows
	EndMaxSession      = "max_session"        // it lasted as long as MAX_SESSION allows
	EndFault           = "fault"              // in gprxy
	EndAborted         = "aborted"            // gprxy died under it; written by the next start
)
