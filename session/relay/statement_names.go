package relay

import (
	"gprxy/pool/wire"
	"gprxy/session/sqltext"
)

const (
	// What the texts of a session's prepared statements may take in gprxy's memory.
	// Of statements prepared beyond it, a shorter text is kept.
	maxPreparedBytes = 16 << 20
	shortText        = 1 << 10
	// PostgreSQL needs kilobytes for each. Of more, the text is in the row of their Parse
	// or Bind alone.
	maxPrepared = 20_000
	maxPortals  = 20_000
	// What the values of a session's open portals may take, and what their texts may: a
	// portal keeps that of its statement, whatever becomes of that.
	maxPortalBytes = 16 << 20
)

// names are a session's prepared statements and portals.
type names struct {
	conv    *conversation
	stmts   map[string]*prepared
	unnamed *prepared
	portals map[string]*action // by the Bind that made them
	portal  *action            // the unnamed
	held    int                // bytes of stmts
	values  int                // bytes of portals
	texts   int                // bytes of their statements

	// Which parameters are secret of the statements that were ever prepared for some, by sqltext.NameKey.
	secrets     map[string]sqltext.Params
	manySecrets bool // and there were more than are remembered
	recoded     bool // client_encoding has changed

	codes int // how many messages were sent that may run code of the client's, see portalRun
}

// apply does what the message asks for, and finds what it refers to.
func (n *names) apply(act *action) {
	act.state = applied
	switch act.request {
	case wire.Query:
		n.codes++
		act.stmtBefore, act.bindBefore = n.unnamed, n.portal
		n.unnamed, n.portal = nil, nil // exec_simple_query drops them
	case wire.Parse:
		act.stmtBefore = n.statement(act.stmt.name)
		n.setStatement(act.stmt.name, act.stmt)
	case wire.Bind:
		act.stmt = n.statement(act.name)
		act.bindBefore = n.bound(act.portal)
		n.codes++
		act.codes = n.codes
		n.setPortal(act.portal, act)
	case wire.FunctionCall:
		n.codes++
	case wire.Describe:
		act.stmt = n.statement(act.name)
	case wire.Execute:
		act.bound = n.portalRun(act.portal)
		if act.bound != nil {
			act.stmt = act.bound.stmt
		}
	case wire.Close:
		if act.closesStatement {
			act.stmtBefore = n.statement(act.name)
			n.setStatement(act.name, nil)
			return
		}
		act.bindBefore = n.bound(act.portal)
		n.setPortal(act.portal, nil)
	}
}

// isFollowed tells whether it is known what a name stands for. PostgreSQL keeps names in the database's encoding (pq_getmsgstring
// in src/backend/libpq/pqformat.c), so one beyond ASCII is another name in another client_encoding, and which that is where
// statements are sent ahead nobody knows. The text of such a statement is in the row of its Parse alone, as is that of more
// statements than are remembered.
func isFollowed(name string) bool { return isASCII(name) }

func (n *names) statement(name string) *prepared {
	if name == "" {
		return n.unnamed
	}
	return n.stmts[name]
}

// nameOf is the name as PostgreSQL keeps it. It allocates nothing if there is a
// statement of that name.
func (n *names) nameOf(name []byte) string {
	if stmt := n.stmts[string(name[:min(len(name), wire.MaxName)])]; stmt != nil {
		return stmt.name
	}
	return nameOf(name)
}

func (n *names) setStatement(name string, stmt *prepared) {
	if name == "" {
		n.unnamed = stmt
		return
	}
	if before := n.stmts[name]; before != nil {
		n.held -= before.cost()
		delete(n.stmts, name)
	}
	if stmt == nil || !isFollowed(name) {
		return
	}
	if len(n.stmts) >= maxPrepared {
		return
	}
	if n.stmts == nil {
		n.stmts = make(map[string]*prepared)
	}
	n.stmts[name] = stmt
	n.held += stmt.cost()
}

func (n *names) bound(portal string) *action {
	if portal == "" {
		return n.portal
	}
	return n.portals[portal]
}

// portalRun gives the Bind of the portal that an Execute runs, nil if that may be another portal. Any code that was sent since
// (a function, a DO, a trigger, and planning, which is the Bind's, runs functions too) can have closed the portal and opened
// another of its name, but not by code of its own, while it is active, and not one without a name (SPI_cursor_open in
// src/backend/executor/spi.c gives that a name). Whether it has, PostgreSQL tells nobody: no text is better than a wrong one.
func (n *names) portalRun(portal string) *action {
	bind := n.bound(portal)
	if bind != nil && portal != "" && bind.codes != n.codes {
		bind = nil
	}
	n.codes++
	if bind != nil {
		bind.codes = n.codes
	}
	return bind
}

func (n *names) setPortal(portal string, bind *action) {
	if portal == "" {
		n.portal = bind
		return
	}
	n.dropPortal(portal)
	if bind == nil || !isFollowed(portal) || len(n.portals) >= maxPortals {
		return
	}
	text := 0
	if bind.stmt != nil {
		text = bind.stmt.cost()
	}
	if n.texts+text > maxPortalBytes {
		return
	}
	if n.portals == nil {
		n.portals = make(map[string]*action)
	}
	n.portals[portal] = bind
	n.values += bind.size
	bind.textSize = text
	n.texts += text
}

func (n *names) dropPortal(portal string) {
	if bind := n.portals[portal]; bind != nil {
		n.values -= bind.size
		n.texts -= bind.textSize
		delete(n.portals, portal)
	}
}

// hold counts the values of a Bind that was just applied, and tells whether they may
// be kept.
func (n *names) hold(bind *action) bool {
	if bind.portal == "" || n.portals[bind.portal] != bind {
		return true // it is the next's to take its place
	}
	size := bind.valuesSize()
	if n.values+size > maxPortalBytes {
		return false
	}
	bind.size = size
	n.values += size
	return true
}

// release forgets the values of a Bind, which the log has now.
func (n *names) release(bind *action) {
	if n.portals[bind.portal] == bind {
		n.values -= bind.size
	}
	bind.size, bind.params = 0, nil
}

// endPortals: no portal outlives its transaction. Those that are still on their way
// belong to the next.
func (n *names) endPortals() {
	for name, bind := range n.portals {
		if bind.state == answered {
			n.dropPortal(name)
		}
	}
}

// nameInSQL is the name as PostgreSQL keeps what SQL says: whole characters. Of a name
// in a message it keeps bytes.
func nameInSQL(name string) string { return string(cutRunes([]byte(name), wire.MaxName)) }
