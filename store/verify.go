// Proving the log: the chain from the first event to the head, and the projection as its fold.
//
// The log is read in segments, by several connections at once: a segment begins with the stored hash
// of the event before it, which the segment before it checks. What goes on over their borders, such as
// an open session, is put together here in the order of the log, so that the findings are those
// of reading from the first event to the last, in constant memory.

package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// Head is the end of a verified chain. Kept elsewhere it shows later that nothing up to it was
// changed, and that the tail was not cut.
type Head struct {
	First    int64 // the first seq whose event is not pruned; 0 if there is none
	Seq      int64
	Hash     [32]byte
	Events   int64         // how many were verified
	Pruned   []PrunedRange // of these, what retention has given up
	Warnings []Warning     // what proves nothing, and should be looked into
}

// Expected is what a log is held against besides itself. The zero value is complete.
type Expected struct {
	// Checkpoint is the head that was signed at some time and kept elsewhere; nil for none.
	Checkpoint *Checkpoint
	// RetentionMin is how long retention had to keep events, at least; a day if it is less.
	RetentionMin time.Duration
	// Now is the time by a clock that is believed; zero for that of this machine.
	Now time.Time
}

func (e Expected) complete() Expected {
	e.RetentionMin = max(e.RetentionMin, leastAge)
	if e.Now.IsZero() {
		e.Now = time.Now()
	}
	return e
}

// Warning is something about the event seq that is possible and unlikely.
type Warning struct {
	Seq  int64
	What string
}

const (
	segmentSeqs    = 50_000
	maxVerifyConns = 8
)

// Verify reads the whole log in one snapshot and gives its head, or a *BrokenError with the first
// event that is not what was written: changed, removed, inserted or moved. It also compares the
// sessions projection with the fold of the events, the texts of statements with what the events say of
// them, what the file is made of with what gprxy makes, and that a search finds what reading in order does. A cut tail shows only by
// comparing the head with one kept elsewhere. progress, if not
// nil, is called now and then and at the end.
func (r *Reader) Verify(ctx context.Context, progress func(done, total int64)) (Head, error) {
	return r.VerifyAgainst(ctx, Expected{}, progress)
}

// VerifyAgainst is Verify that also holds the log against what is known of it from elsewhere: if it does not go on
// from the checkpoint, or contradicts its time, that is a *BrokenError too.
func (r *Reader) VerifyAgainst(ctx context.Context, e Expected, progress func(done, total int64)) (Head, error) {
	s, err := r.snapshot(ctx, min(runtime.GOMAXPROCS(0), maxVerifyConns))
	if err != nil {
		return Head{}, verifyError(err, Head{})
	}
	h, err := s.verify(ctx, segmentSeqs, e, progress)
	if closed := s.close(ctx); err == nil {
		err = closed
	}
	return h, verifyError(err, h)
}

// verifyError makes a finding of a damaged file, which was verified up to h.
func verifyError(err error, h Head) error {
	if err == nil {
		return nil
	}
	if _, broken := errors.AsType[*BrokenError](err); broken {
		return err
	}
	if column, ok := errors.AsType[*columnError](err); ok {
		return &BrokenError{Seq: h.Seq, What: "a row of the tables that belong to it is none of ours: " + column.Error()}
	}
	if sqliteCode(err) == sqlite3.SQLITE_CORRUPT {
		return &BrokenError{Seq: h.Seq + 1, What: "from here on SQLite finds the file damaged: " + err.Error()}
	}
	return fmt.Errorf("verify the event log: %w", err)
}

// verify hands segments of so many seqs to the connections and takes what they found in order.
func (s *snapshot) verify(ctx context.Context, seqs int64, e Expected, progress func(done, total int64)) (Head, error) {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	todo := make(chan *segment)
	inOrder := make(chan *segment, 2*len(s.conns))
	working.Go(func() { s.divide(ctx, seqs, e, todo, inOrder) })
	trees := make(chan error, 1)
	for i, conn := range s.conns {
		working.Go(func() {
			if i == len(s.conns)-1 {
				trees <- s.checkTrees(ctx, conn)
			}
			for st := range todo {
				st.read <- st.verify(ctx, conn)
			}
		})
	}
	p := newProof(e.complete())
	for st := range inOrder {
		err := <-st.read
		if err == nil {
			err = p.add(st)
		}
		if err != nil {
			return p.head, err
		}
		if progress != nil {
			progress(p.head.Seq, s.head.seq)
		}
	}
	if err := ctx.Err(); err != nil {
		return p.head, err
	}
	if err := p.end(ctx, s.conns[0]); err != nil {
		return p.head, err
	}
	if err := <-trees; err != nil {
		return p.head, err
	}
	return p.head, s.checkShape(ctx, s.conns[0])
}

// divide cuts the log into segments, each for the next connection that is free.
func (s *snapshot) divide(ctx context.Context, seqs int64, e Expected, todo, inOrder chan<- *segment) {
	defer close(todo)
	defer close(inOrder)
	for from := int64(0); from == 0 || from < s.head.seq; from += seqs {
		st := newSegment(from, from+seqs, e)
		if from == 0 {
			st.after = math.MinInt64 // nothing may stand before the first event
		}
		if from+seqs >= s.head.seq {
			st.to = math.MaxInt64 // nor behind the last one
		}
		select {
		case inOrder <- st:
		case <-ctx.Done():
			return
		}
		select {
		case todo <- st:
		case <-ctx.Done():
			return
		}
	}
}
