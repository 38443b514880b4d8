package relay

import (
	"bytes"
	"slices"

	"gprxy/pool/wire"
	"gprxy/session/sqltext"
)

// OnAlone has heard called with the beginning of each statement that wants a database for itself (DROP DATABASE and its like),
// before that goes on. heard is called under a lock of the relay's.
func (r *Relay) OnAlone(heard func(text string)) { r.conversation.alone = heard }

// aloneRoom is how much of a statement is looked at. A longer comment before it hides it; then its database is free when
// nobody was in it for POOL_MAX_EMPTY_TIME.
const aloneRoom = 1024

// aloneText is the beginning of such a statement in the body of a Query or Parse, "" for any other. PostgreSQL runs them in no
// function and with no other statement in the same text, so that they always stand at its beginning.
func aloneText(kind byte, body []byte) string {
	if kind == wire.Parse {
		_, body, _ = bytes.Cut(body, zero)
	}
	body, _, _ = bytes.Cut(body, zero)
	body = bytes.TrimLeft(body, " \t\n\v\f\r;")
	if len(body) == 0 || bytes.IndexByte([]byte("dDaAcC-/"), body[0]) < 0 {
		return ""
	}
	text := string(body)
	words := sqltext.Words(text, 2)
	if len(words) < 2 || words[1] != "database" || !slices.Contains([]string{"drop", "alter", "create"}, words[0]) {
		return ""
	}
	return text
}
