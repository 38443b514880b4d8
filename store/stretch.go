// A stretch of the log, verified by one connection.

package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
)

// stretch holds the rows with after < seq <= to, and what was found out about them.
type stretch struct {
	after, to int64
	read      chan error // has room for the one result of verify; no finding, but what kept us from one

	chain      chain
	projection projection
	texts      map[int64]vouched // the texts that events vouch for
	gone       []goneRun         // the runs of pruned events
	time       int64             // of the last event; 0 for none
	said       []PrunedRange     // what the log.pruned events say is gone
	found      *BrokenError      // what is wrong first; the rest was not read
	stray      *BrokenError      // a row of sessions whose event does not stand here
}

func newStretch(after, to int64) *stretch {
	return &stretch{after: after, to: to, read: make(chan error, 1), texts: map[int64]vouched{}}
}

// verify reads the stretch.
func (st *stretch) verify(ctx context.Context, conn *sql.Conn) error {
	err := onRaw(ctx, conn, func(c rawConn) error { return st.rows(ctx, c) })
	if broken, ok := errors.AsType[*BrokenError](err); ok {
		st.found = broken
		return nil
	}
	return err
}

func (st *stretch) rows(ctx context.Context, conn rawConn) (err error) {
	if st.chain.head, err = headBefore(conn, st.after); err != nil {
		return err
	}
	runs, err := runsIn(conn, st.after, st.to, -1)
	if err != nil {
		return err
	}
	if err := st.projection.open(conn, st.after, st.to); err != nil {
		return err
	}
	defer st.projection.close()
	rows, err := conn.query(eventsIn, st.after, st.to)
	if err != nil {
		return err
	}
	defer rows.close()
	for n := 0; ; n++ {
		more, err := rows.next()
		if err != nil || n%1000 == 0 && ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		e := event{seq: math.MaxInt64}
		if more {
			e.scan(rows)
		}
		if runs, err = st.addRuns(runs, e.seq); err != nil {
			return err
		}
		if !more {
			st.stray = st.projection.rest()
			return nil
		}
		if err := st.add(conn, &e); err != nil {
			return err
		}
	}
}

func (st *stretch) add(conn rawConn, e *event) error {
	if err := st.chain.add(e); err != nil {
		return err
	}
	st.time = e.time
	switch e.typ {
	case LogPruned{}.Type():
		return st.addSaid(e)
	case StatementsExecuted{}.Type(), StatementStarted{}.Type():
		return st.addTexts(conn, e)
	}
	return st.projection.add(e)
}

func (st *stretch) addSaid(e *event) error {
	var f LogPruned
	if err := json.Unmarshal([]byte(e.body), &f); err != nil {
		return &BrokenError{Seq: e.seq, What: err.Error()}
	}
	st.said = append(st.said, PrunedRange{f, fromMicro(e.time)})
	return nil
}

// addTexts compares what the event says of texts with their rows.
func (st *stretch) addTexts(conn rawConn, e *event) error {
	bound, err := boundBy(e.body)
	if err != nil {
		return &BrokenError{Seq: e.seq, What: "its texts cannot be read: " + err.Error()}
	}
	for _, b := range bound {
		if known, ok := st.texts[b.ID]; ok && known.sum == b.SHA256 {
			continue
		}
		sum, err := textSum(conn, b.ID)
		if err != nil {
			return err
		}
		if hex.EncodeToString(sum) != b.SHA256 {
			return &BrokenError{Seq: e.seq, What: fmt.Sprintf("the text %d in the table texts is not the one that it names, or is missing", b.ID)}
		}
		st.texts[b.ID] = vouched{b.SHA256, e.seq}
	}
	return nil
}

// vouched is a text whose row was compared with the event seq.
type vouched struct {
	sum string // in hex
	seq int64
}

func textSum(conn rawConn, id int64) (sum []byte, err error) {
	rows, err := conn.query(`SELECT sha256 FROM texts WHERE id = ?`, id)
	if err != nil {
		return nil, err
	}
	defer rows.close()
	found, err := rows.next()
	if found {
		sum = rows.blob(0)
	}
	return sum, errors.Join(err, rows.err)
}

// addRuns adds the runs that stand before seq, and gives the others.
func (st *stretch) addRuns(runs []run, seq int64) (rest []run, err error) {
	for len(runs) > 0 && runs[0].seq < seq {
		if err := st.chain.addRun(&runs[0]); err != nil {
			return nil, err
		}
		st.gone = append(st.gone, goneRun{span{runs[0].first, runs[0].seq}, st.time})
		runs = runs[1:]
	}
	return runs, nil
}

// event is a row of events.
type event struct {
	seq, time, count   int64
	typ, session, body string
	hash               []byte
}

const eventsIn = `
	SELECT
		seq,
		time,
		type,
		session,
		body,
		hash,
		count
	FROM events
	WHERE seq > ?
	  AND seq <= ?
	ORDER BY seq`

func (e *event) scan(rows *rawRows) {
	e.seq, e.time, e.count = rows.int(0), rows.int(1), rows.int(6)
	e.typ, e.session, e.body = rows.text(2), rows.text(3), rows.text(4)
	e.hash = rows.blob(5)
}

// run is a row of pruned: the events from first to seq, of which the digests are left.
type run struct {
	first, seq    int64
	digests, hash []byte
}

// runsIn gives the runs of a stretch, up to a limit; -1: all.
func runsIn(conn rawConn, after, to, limit int64) (runs []run, err error) {
	rows, err := conn.query(`
		SELECT
			first,
			seq,
			digests,
			hash
		FROM pruned
		WHERE seq > ?
		  AND seq <= ?
		ORDER BY seq
		LIMIT ?`, after, to, limit)
	if err != nil {
		return nil, err
	}
	defer rows.close()
	for {
		more, err := rows.next()
		if err != nil || !more {
			return runs, err
		}
		runs = append(runs, run{rows.int(0), rows.int(1), rows.blob(2), rows.blob(3)})
	}
}

// links gives the hash of each event of the run. before is that of the event before it.
func (r *run) links(before hash) iter.Seq[hash] {
	return func(yield func(hash) bool) {
		h := before
		for d := r.digests; len(d) >= len(h); d = d[len(h):] {
			if h = link(h, hash(d[:len(h)])); !yield(h) {
				return
			}
		}
	}
}

// has reports whether an event of the run has that hash.
func (r *run) has(before, wanted hash) bool {
	for h := range r.links(before) {
		if h == wanted {
			return true
		}
	}
	return false
}

// headBefore gives the seq and the stored hash of what stands at seq or before it.
func headBefore(conn rawConn, seq int64) (h head, err error) {
	for _, table := range []string{"events", "pruned"} {
		rows, err := conn.query(`SELECT seq, hash FROM `+table+` WHERE seq <= ? ORDER BY seq DESC LIMIT 1`, seq)
		if err != nil {
			return h, err
		}
		found, err := rows.next()
		if err == nil && found && rows.int(0) > h.seq {
			h.seq = rows.int(0)
			copy(h.hash[:], rows.blob(1))
		}
		if err := errors.Join(err, rows.err, rows.close()); err != nil {
			return h, err
		}
	}
	return h, nil
}

// chain follows the hashes of events.
type chain struct {
	head   head
	events int64
	buf    []byte
}

func (c *chain) add(e *event) error {
	if err := c.follow(e.seq - e.count + 1); err != nil {
		return err
	}
	var d hash
	d, c.buf = digest(c.buf, e.seq, e.time, e.typ, e.session, e.body)
	h := link(c.head.hash, d)
	if string(h[:]) != string(e.hash) {
		return &BrokenError{Seq: c.head.seq + 1, What: "its content, or its place in the log, is not the one that was written (the hash differs)"}
	}
	c.head = head{e.seq, h}
	c.events += e.count
	return nil
}

func (c *chain) addRun(r *run) error {
	if err := c.follow(r.first); err != nil {
		return err
	}
	h := c.head.hash
	for next := range r.links(c.head.hash) {
		h = next
	}
	if string(h[:]) != string(r.hash) {
		return &BrokenError{Seq: r.first, What: "what is left of the events that were pruned from here on is not what it was (the hash differs)"}
	}
	c.head = head{r.seq, h}
	c.events += r.seq - r.first + 1
	return nil
}

func (c *chain) follow(first int64) error {
	want := c.head.seq + 1
	if first == want {
		return nil
	}
	return &BrokenError{Seq: want, What: fmt.Sprintf("this event is missing, the next one is %d", first)}
}
