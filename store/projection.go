// The table sessions, compared with the fold of the events.

package store

import (
	"database/sql/driver"
	"fmt"
	"slices"
)

// projection compares the rows of a segment. Both tables come in the order of session.connected, so
// only sessions that are open have to be remembered.
type projection struct {
	conn rawConn
	rows *rawRows
	row  []driver.Value        // the next stored row; nil at the end
	left map[string]comparison // sessions that began here and whose end has not been read
	late []lateFact            // facts of sessions that did not begin here, or are over
}

// comparison is a session as folded so far, and its stored row.
type comparison struct {
	folded Session
	stored []driver.Value
}

// lateFact is a fact for the session that an earlier segment may have left open.
type lateFact struct {
	session   string
	seq, time int64
	fact      Fact
}

func (p *projection) open(conn rawConn, after, to int64) (err error) {
	p.conn, p.left = conn, map[string]comparison{}
	p.rows, err = conn.query(`SELECT `+sessionColumns+` FROM sessions NOT INDEXED WHERE seq > ? AND seq <= ? ORDER BY seq`, after, to)
	if err != nil {
		return err
	}
	return p.advance()
}

func (p *projection) close() { p.rows.close() } // only read

func (p *projection) advance() error {
	p.row = nil
	more, err := p.rows.next()
	if more {
		p.row = slices.Clone(p.rows.row)
	}
	return err
}

// seqOf and sessionOf are of a stored row.
func seqOf(row []driver.Value) int64 {
	seq, _ := row[0].(int64)
	return seq
}

func sessionOf(row []driver.Value) string {
	session, _ := row[1].(string)
	return session
}

// add folds one event, and compares the session that it ends.
func (p *projection) add(e *event) error {
	if e.session == "" {
		return nil
	}
	fact, err := decode(e.typ, []byte(e.body))
	if err != nil {
		return &BrokenError{Seq: e.seq, What: err.Error()}
	}
	if fact == nil {
		return nil
	}
	c, open := p.left[e.session]
	if _, begins := fact.(SessionConnected); begins && !open {
		if c, open, err = p.pair(e.session, e.seq); err != nil {
			return err
		}
	}
	late := lateFact{e.session, e.seq, e.time, fact}
	if !open {
		p.late = append(p.late, late)
		return nil
	}
	return foldInto(p.left, c, late)
}

// foldInto applies the fact to a session that is among the open ones, and compares it if that ends it.
func foldInto(open map[string]comparison, c comparison, f lateFact) error {
	c.folded = apply(c.folded, f.seq, fromMicro(f.time), f.fact)
	if !c.folded.over() {
		open[f.session] = c
		return nil
	}
	delete(open, f.session)
	return c.compare()
}

// pair finds the stored row of the session that begins at seq. A second session.connected of the same
// session has none.
func (p *projection) pair(session string, seq int64) (c comparison, open bool, err error) {
	if p.row != nil && seqOf(p.row) < seq {
		return c, false, stray(p.row)
	}
	if p.row == nil || seqOf(p.row) != seq {
		again, err := p.known(session, seq)
		if err != nil || again {
			return c, false, err
		}
		return c, false, &BrokenError{Seq: seq, What: fmt.Sprintf("session %s, which begins here, is missing from the table sessions", session)}
	}
	c = comparison{folded: Session{Session: session}, stored: p.row}
	return c, true, p.advance()
}

// known reports whether the session began before seq. The index that finds its row may lie, so the row is looked at too.
func (p *projection) known(session string, before int64) (bool, error) {
	rows, err := p.conn.query(`
		SELECT 1
		FROM (SELECT seq FROM sessions WHERE session = ? AND seq < ?) AS found
		CROSS JOIN sessions AS s NOT INDEXED ON s.seq = found.seq
		WHERE s.session = ?`, session, before, session)
	if err != nil {
		return false, err
	}
	defer rows.close()
	return rows.next()
}

// rest is a stored row that no event of the segment began, if there is one.
func (p *projection) rest() *BrokenError {
	if p.row == nil {
		return nil
	}
	return stray(p.row)
}

func stray(row []driver.Value) *BrokenError {
	return &BrokenError{Seq: seqOf(row), What: fmt.Sprintf("the table sessions has session %s, which no event begins", sessionOf(row))}
}

func (c comparison) compare() error {
	if isRow(c.folded, c.stored) {
		return nil
	}
	return &BrokenError{Seq: seqOf(c.stored), What: fmt.Sprintf("the row of session %s in the table sessions is not what its events say",
		sessionOf(c.stored))}
}
