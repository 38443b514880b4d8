package relay

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"gprxy/pool/wire"
	"gprxy/session/sqltext"
)

// changes are names that turn out to mean something else, beneath what is still under
// way: what PostgreSQL skipped is undone, and SQL changes names too.
type changes struct {
	stmts   map[string]*prepared
	portals map[string]*action
}

// undo takes back what PostgreSQL skipped.
func (n *names) undo(skipped []*action) {
	c := changes{stmts: map[string]*prepared{}, portals: map[string]*action{}}
	for _, act := range slices.Backward(skipped) {
		switch {
		case act.state == sent:
		case act.request == wire.Query:
			c.stmts[""] = act.stmtBefore
			c.portals[""] = act.bindBefore
		case act.request == wire.Parse:
			c.stmts[act.stmt.name] = act.stmtBefore
		case act.request == wire.Close && act.closesStatement:
			c.stmts[act.name] = act.stmtBefore
		case act.request == wire.Bind, act.request == wire.Close:
			c.portals[act.portal] = act.bindBefore
		}
	}
	n.change(c)
}

// keepPortal: a Query held no statement, and only a statement takes the place of the unnamed portal.
func (n *names) keepPortal(query *action) {
	n.change(changes{portals: map[string]*action{"": query.bindBefore}})
}

// change makes the changes. It looks through what was sent after them for what refers
// to the names, and for what gave them another meaning.
func (n *names) change(c changes) {
	rebound := false // what runs a portal may run something else now
	for _, r := range n.conv.owed.waiting() {
		if len(c.stmts)+len(c.portals) == 0 && !rebound {
			return
		}
		if r.act != nil && r.act.state != sent {
			rebound = c.meet(r.act) || rebound
		}
	}
	for name, stmt := range c.stmts {
		n.setStatement(name, stmt)
	}
	for portal, bind := range c.portals {
		n.setPortal(portal, bind)
	}
}

// meet lets a message have the changes that concern it, and drops those that it ends.
// It tells whether the message binds another statement than was thought.
func (c changes) meet(act *action) (rebound bool) {
	switch act.request {
	case wire.Query:
		c.statementEnds(act, "")
		c.portalEnds(act)
	case wire.Parse:
		c.statementEnds(act, act.stmt.name)
	case wire.Describe:
		act.stmt, _ = c.statement(act)
	case wire.Bind:
		act.stmt, rebound = c.statement(act)
		c.portalEnds(act)
	case wire.Execute:
		if bind, changed := c.portals[act.portal]; changed {
			act.bound, act.stmt = bind, nil
			if act.portal != "" { // other code was sent since
				act.bound = nil
			}
		}
		if act.bound != nil {
			act.stmt = act.bound.stmt
		}
	case wire.Close:
		if act.closesStatement {
			c.statementEnds(act, act.name)
			return false
		}
		c.portalEnds(act)
	}
	return rebound
}

func (c changes) statement(act *action) (stmt *prepared, changed bool) {
	if stmt, changed = c.stmts[act.name]; changed {
		return stmt, true
	}
	return act.stmt, false
}

func (c changes) statementEnds(act *action, name string) {
	if before, changed := c.stmts[name]; changed {
		act.stmtBefore = before
		delete(c.stmts, name)
	}
}

func (c changes) portalEnds(act *action) {
	if before, changed := c.portals[act.portal]; changed {
		act.bindBefore = before
		delete(c.portals, act.portal)
	}
}

// changesNames tells whether a command may change what changedBy follows.
func changesNames(tag string) bool {
	switch tag {
	case "PREPARE", "DEALLOCATE", "DEALLOCATE ALL", "DISCARD ALL":
		return true
	}
	return false
}

// forget: code that ran inside PostgreSQL (a DO, a function) may have given names another meaning.
func (n *names) forget() {
	c := changes{stmts: map[string]*prepared{}}
	c.forgetStatements(n)
	n.change(c)
}

// changedBy follows what SQL, the statement at that place of a text, does to names of prepared statements that the protocol
// has in hand too. None touches the unnamed statement. Where it cannot be told which name it is, what any stands for is not
// known any more.
func (n *names) changedBy(tag string, by *prepared, at int) {
	c := changes{stmts: map[string]*prepared{}}
	text := by.part(at)
	name, known := namedInSQL(tag, text, by != nil && by.charset.cut)
	switch {
	case tag == "PREPARE" && known:
		c.stmts[name] = n.preparedInSQL(name, text, by)
	case known:
		c.stmts[name] = nil
	default:
		c.forgetStatements(n)
	}
	n.change(c)
}

func (c changes) forgetStatements(n *names) {
	for name := range n.stmts {
		c.stmts[name] = nil
	}
	for _, r := range n.conv.owed.waiting() {
		if r.act != nil && r.act.name != "" {
			c.stmts[r.act.name] = nil
		}
	}
}

// namedInSQL gives the name that PREPARE or DEALLOCATE is about, if it is one
// and certain. A text that lost its middle may say something else than its ends do.
func namedInSQL(tag, text string, cut bool) (name string, known bool) {
	verb, of, _ := strings.Cut(strings.ToLower(tag), " ")
	words := sqltext.Words(text, 3)
	if cut {
		words = sqltext.WordsOfBeginning(sqltext.Beginning(text), 3)
	}
	if len(words) < 2 || words[0] != verb || of == "all" || cut && len(words) < 3 && verb == "deallocate" && words[1] == "prepare" {
		return "", false
	}
	if verb == "deallocate" && words[1] == "prepare" && len(words) == 3 {
		words = words[1:]
	}
	return nameInSQL(words[1]), isFollowed(words[1])
}

// preparedInSQL is what PREPARE made. The text, that of the whole statement, was recorded when it was run; it has the length and
// the hash of what was cut then.
func (n *names) preparedInSQL(name, text string, by *prepared) *prepared {
	p := &prepared{
		name: name, text: text, bytes: by.bytes, sum: by.sum, keyedSum: by.keyedSum, charset: by.charset,
		parsed: true, secret: by.secret, params: n.secrets[sqltext.NameKey(name)], recorded: true,
	}
	if n.held+len(text) > maxPreparedBytes && len(text) > shortText {
		p.text, p.charset.cut, p.charset.plain = string(cutRunes([]byte(text), shortText)), true, false
		p.countCut(text)
	}
	return p
}

// countCut notes the length and, if nothing of it was masked, the hash of a text of which less is kept than of the row that
// it had before.
func (p *prepared) countCut(text string) {
	if p.bytes > 0 {
		return
	}
	p.bytes = int64(len(text))
	if !p.secret {
		sum := sha256.Sum256([]byte(text))
		p.sum = hex.EncodeToString(sum[:])
	}
}
