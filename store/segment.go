// A segment of the log, verified by one connection.

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

// segment holds the rows with after < seq <= to, and what was found out about them.
type segment struct {
	after, to int64
	read      chan error // has room for the one result of verify; no finding, but what kept us from one

	chain      chain
	projection projection
	texts      map[int64]vouched // the texts that events vouch for
	pruned     []prunedRun       // the runs of pruned events
	first      int64             // the first event; 0 for none
	firstTime  int64             // its time
	time       int64             // that of the last one
	next       int64             // that of the first one that is no log.pruned, if no run stands before it
	claimed    []PrunedRange     // what the log.pruned events say is gone
	noted      []notedHead       // what the log.checkpointed events say
	signed     signedTime
	found      *BrokenError // what is wrong first; the rest was not read
	stray      *BrokenError // a row of sessions whose event does not stand here
}

func newSegment(after, to int64, e Expected) *segment {
	return &segment{after: after, to: to, read: make(chan error, 1), texts: map[int64]vouched{}, signed: newSignedTime(e.Checkpoint)}
}

// verify reads the segment.
func (st *segment) verify(ctx context.Context, conn *sql.Conn) error {
	err := onRaw(ctx, conn, func(c rawConn) error { return st.rows(ctx, c) })
	if broken, ok := errors.AsType[*BrokenError](err); ok {
		st.found = broken
		return nil
	}
	if column, ok := errors.AsType[*columnError](err); ok {
		st.found = &BrokenError{Seq: st.chain.head.seq + 1, What: column.Error()}
		return nil
	}
	return err
}

func (st *segment) rows(ctx context.Context, conn rawConn) (err error) {
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
		if rows.err != nil {
			return rows.err
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

func (st *segment) add(conn rawConn, e *event) error {
	if err := st.chain.add(e); err != nil {
		return err
	}
	before := st.time
	st.addTime(e)
	switch e.typ {
	case LogPruned{}.Type():
		return st.addClaimed(e, before)
	case LogCheckpointed{}.Type():
		return st.addNoted(e)
	case StatementsExecuted{}.Type(), StatementStarted{}.Type():
		return st.addTexts(conn, e)
	}
	return st.projection.add(e)
}

// addTime keeps the event's time for what stands around it.
func (st *segment) addTime(e *event) {
	if st.first == 0 {
		st.first, st.firstTime = e.seq-e.count+1, e.time
	}
	st.time = e.time
	st.signed.add(e)
	if n := len(st.claimed) - 1; n >= 0 && st.claimed[n].after == 0 {
		st.claimed[n].after = e.time
	}
	if e.typ == (LogPruned{}).Type() {
		return
	}
	if n := len(st.pruned) - 1; n >= 0 && st.pruned[n].next == 0 {
		st.pruned[n].next = e.time
	} else if n < 0 && st.next == 0 {
		st.next = e.time
	}
}

func (st *segment) addClaimed(e *event, before int64) error {
	s := PrunedRange{At: fromMicro(e.time), seq: e.seq, before: before}
	if err := json.Unmarshal([]byte(e.body), &s.LogPruned); err != nil {
		return &BrokenError{Seq: e.seq, What: err.Error()}
	}
	if err := s.check(); err != nil {
		return err
	}
	st.claimed = append(st.claimed, s)
	return nil
}

func (st *segment) addNoted(e *event) error {
	var f LogCheckpointed
	n := notedHead{seq: e.seq}
	err := json.Unmarshal([]byte(e.body), &f)
	if err == nil {
		var sum []byte
		sum, err = hex.DecodeString(f.Hash)
		n.Seq = f.Seq
		if copy(n.Hash[:], sum) != len(n.Hash) && err == nil {
			err = errNotHead
		}
	}
	if err != nil {
		return &BrokenError{Seq: e.seq, What: "this log.checkpointed is not one: " + err.Error()}
	}
	st.noted = append(st.noted, n)
	return nil
}

// addTexts compares what the event says of texts with their rows.
func (st *segment) addTexts(conn rawConn, e *event) error {
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
	rows, err := conn.query(`SELECT sha256 FROM texts NOT INDEXED WHERE id = ?`, id)
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
func (st *segment) addRuns(runs []run, seq int64) (rest []run, err error) {
	for len(runs) > 0 && runs[0].seq < seq {
		if err := st.chain.addRun(&runs[0]); err != nil {
			return nil, err
		}
		st.pruned = append(st.pruned, prunedRun{span: span{runs[0].first, runs[0].seq}, after: st.time})
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

// eventsIn asks the table itself, as all of verify does: an index may lie.
const eventsIn = `
	SELECT
		seq,
		time,
		type,
		session,
		body,
		hash,
		count
	FROM events NOT INDEXED
	WHERE seq > ?
	  AND seq <= ?
	ORDER BY seq`

func (e *event) scan(rows *rawRows) {
	e.seq, e.time, e.count = rows.int(0), rows.int(1), rows.int(6)
	e.typ, e.session, e.body = rows.text(2), rows.text(3), rows.textOrNull(4)
	e.hash = rows.blob(5)
}

// run is a row of pruned: the events from first to seq, of which the digests are left.
type run struct {
	first, seq    int64
	digests, hash []byte
}

// runsIn gives the runs of a segment, up to a limit; -1: all.
func runsIn(conn rawConn, after, to, limit int64) (runs []run, err error) {
	rows, err := conn.query(`
		SELECT
			first,
			seq,
			digests,
			hash
		FROM pruned NOT INDEXED
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
		rows, err := conn.query(`SELECT seq, hash FROM `+table+` NOT INDEXED WHERE seq <= ? ORDER BY seq DESC LIMIT 1`, seq)
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
	if string(h[:]) != string(r.hash) || len(r.digests) == 0 || len(r.digests)%len(h) != 0 {
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
