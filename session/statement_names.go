package session

import (
	"slices"
	"strings"

	"gprxy/session/sqltext"
)

const (
	// What the texts of a session's prepared statements may take in gprxy's memory.
	// Of statements prepared beyond it, a shorter text is kept.
	maxPreparedBytes = 16 << 20
	shortText        = 1 << 10
	// PostgreSQL needs kilobytes for each; so many are no client's honest wish.
	maxPrepared = 100_000
)

// names are a session's prepared statements and portals.
type names struct {
	talk    *conversation
	stmts   map[string]*prepared
	unnamed *prepared
	portals map[string]*action // by the Bind that made them
	portal  *action            // the unnamed
	held    int                // bytes of stmts
}

// apply does what the message asks for, and finds what it refers to.
func (n *names) apply(act *action) {
	act.applied = true
	switch act.request {
	case msgQuery:
		n.unnamed, n.portal = nil, nil // exec_simple_query drops them
	case msgParse:
		act.stmtBefore = n.statement(act.stmt.name)
		n.setStatement(act.stmt.name, act.stmt)
	case msgBind:
		act.stmt = n.statement(act.name)
		act.bindBefore = n.bound(act.portal)
		n.setPortal(act.portal, act)
	case msgDescribe:
		act.stmt = n.statement(act.name)
	case msgExecute:
		act.bound = n.bound(act.portal)
		if act.bound != nil {
			act.stmt = act.bound.stmt
		}
	case msgClose:
		if act.closesStatement {
			act.stmtBefore = n.statement(act.name)
			n.setStatement(act.name, nil)
			return
		}
		act.bindBefore = n.bound(act.portal)
		n.setPortal(act.portal, nil)
	}
}

// revert undoes apply. What was applied later has been reverted before.
func (n *names) revert(act *action) {
	if act == nil || !act.applied {
		return
	}
	switch {
	case act.request == msgParse:
		n.setStatement(act.stmt.name, act.stmtBefore)
	case act.request == msgBind, act.request == msgClose && !act.closesStatement:
		n.setPortal(act.portal, act.bindBefore)
	case act.request == msgClose:
		n.setStatement(act.name, act.stmtBefore)
	}
}

// undo takes back what PostgreSQL skipped. What was sent after it may now refer to
// something else.
func (n *names) undo(skipped []*action) {
	n.beneath(func() {
		for _, act := range slices.Backward(skipped) {
			n.revert(act)
		}
	})
}

// beneath changes names below what is still under way.
func (n *names) beneath(change func()) {
	under := n.talk.owed.waiting()
	for _, r := range slices.Backward(under) {
		n.revert(r.act)
	}
	change()
	for _, r := range under {
		if r.act != nil && r.act.applied {
			n.apply(r.act)
		}
	}
}

func (n *names) statement(name string) *prepared {
	if name == "" {
		return n.unnamed
	}
	return n.stmts[name]
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
	if stmt == nil || len(n.stmts) >= maxPrepared {
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

func (n *names) setPortal(portal string, bind *action) {
	switch {
	case portal == "":
		n.portal = bind
	case bind == nil:
		delete(n.portals, portal)
	default:
		if n.portals == nil {
			n.portals = make(map[string]*action)
		}
		n.portals[portal] = bind
	}
}

// endPortals: no portal outlives its transaction. Those that are still on their way
// belong to the next.
func (n *names) endPortals() {
	for name, bind := range n.portals {
		if bind.answered {
			delete(n.portals, name)
		}
	}
}

// changesNames tells whether a command may change what changedBy follows.
func changesNames(tag string) bool {
	return tag == "PREPARE" || tag == "DEALLOCATE" || tag == "DEALLOCATE ALL" || tag == "DISCARD ALL"
}

// changedBy follows PREPARE, DEALLOCATE and DISCARD in SQL, which have the protocol's
// statements in hand too.
func (n *names) changedBy(tag, text string) {
	switch tag {
	case "DEALLOCATE ALL", "DISCARD ALL":
		n.beneath(func() { n.stmts, n.held, n.unnamed = nil, 0, nil })
	case "DEALLOCATE":
		words := sqltext.Words(text, 3)
		if len(words) == 3 && words[1] == "prepare" {
			words = words[1:]
		}
		if len(words) >= 2 {
			n.beneath(func() { n.setStatement(cutName(words[1]), nil) })
		}
	case "PREPARE":
		if words := sqltext.Words(text, 2); len(words) == 2 {
			name := cutName(words[1])
			n.beneath(func() { n.setStatement(name, &prepared{name: name, text: text, parsed: true}) })
		}
	}
}

// cutName is the name as PostgreSQL keeps it.
func cutName(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), maxName)], "")
}
