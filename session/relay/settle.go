package relay

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"gprxy/pool"
	"gprxy/pool/wire"
)

const (
	// What a backend is given to come to rest after its client has left.
	settleTimeout = 5 * time.Second
	// How long one cancel request may take to show effect before the next:
	// of several queries sent ahead each needs its own.
	cancelAgain = 250 * time.Millisecond
	// What closing a backend and cancelling its statement may take.
	abandonTimeout = 2 * time.Second
)

var (
	errAtRest    = errors.New("the backend is at rest")
	errCopyBegan = errors.New("the backend waits for the data of a COPY")
)

// Settle ends what the client left running on the backend and gives the lease
// back: released when the backend is provably clean, discarded otherwise. The
// error says why it was discarded. The relay must have returned.
func (r *Relay) Settle(ctx context.Context, lease *pool.Lease) error {
	ctx, done := context.WithTimeout(ctx, settleTimeout)
	defer done()
	if lease.Replicates() {
		return lease.Release(ctx, false) // nobody else will use it
	}
	err := r.bringToRest(ctx, lease)
	switch {
	case err == nil:
		return lease.Release(ctx, r.conversation.status != wire.TxIdle)
	case errors.Is(err, ErrBackendGone):
		lease.Discard()
		return err
	}
	ctx, done = context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer done()
	if cancelErr := lease.Abandon(ctx); cancelErr != nil {
		err = fmt.Errorf("%w; cancel what it runs: %w", err, cancelErr)
	}
	return err
}

// bringToRest returns nil when the backend waits for a command, nothing is owed
// and not one byte lies between here and there.
func (r *Relay) bringToRest(ctx context.Context, lease *pool.Lease) error {
	c := &r.conversation
	switch {
	case errors.Is(r.ended, ErrBackendGone), errors.Is(r.ended, ErrFault):
		return r.ended
	case c.doubt != "":
		return errors.New(c.doubt)
	case r.stamping != nil:
		return errors.New("the client left while the stamp was put back")
	case r.requestsCut.Load() || !r.upFrames.AtBoundary():
		return errors.New("the client left in the middle of a message")
	}
	if !c.owed.answered() && !c.copyIn {
		if err := lease.Cancel(ctx); err != nil {
			return fmt.Errorf("cancel what the client left running: %w", err)
		}
	}
	if err := r.closeOpenRequests(ctx); err != nil {
		return err
	}
	return r.awaitRest(ctx, lease)
}

// closeOpenRequests ends a COPY the client did not finish, and undoes a batch whose Sync it did not send: PostgreSQL would
// have rolled that back at the end of the connection. A Sync alone would commit it, so a Bind goes before, of a prepared
// statement that nobody can have made, which fails.
func (r *Relay) closeOpenRequests(ctx context.Context) error {
	c := &r.conversation
	var ending []byte
	c.mu.Lock()
	if r.copyToEnd() {
		ending = append(ending, copyFailMessage...)
		r.upFrames.Walk(ending, 0, clientFrames{c})
		r.copiesFailed = c.copyIns
	}
	if c.unsynced {
		ending = append(append(ending, failingBind()...), syncMessage...)
		c.undoBatch()
	}
	c.mu.Unlock()
	if len(ending) == 0 {
		return nil
	}
	deadline, _ := ctx.Deadline()
	r.backend.SetWriteDeadline(deadline)
	defer r.backend.SetWriteDeadline(time.Time{})
	if _, err := r.backend.Write(ending); err != nil {
		return fmt.Errorf("end what the client left open: %w", err)
	}
	return nil
}

// copyToEnd tells whether the backend waits for data that will not come.
func (r *Relay) copyToEnd() bool {
	c := &r.conversation
	return c.copyIn && r.copiesFailed < c.copyIns
}

var (
	copyFailMessage = []byte("f\x00\x00\x00\x14client has left\x00")
	syncMessage     = []byte("S\x00\x00\x00\x04")
)

// failingBind asks for a prepared statement of a name that is made up now.
func failingBind() []byte {
	body := "\x00gprxy_" + rand.Text() + "\x00\x00\x00\x00\x00\x00\x00" // no formats, values and formats of results
	return append(binary.BigEndian.AppendUint32([]byte{wire.Bind}, uint32(len(body)+wire.HeaderSize-1)), body...)
}

// awaitRest reads and drops answers until nothing is owed.
func (r *Relay) awaitRest(ctx context.Context, lease *pool.Lease) error {
	deadline, _ := ctx.Deadline()
	defer r.down.Resume()
	for !r.conversation.idle() {
		next := time.Now().Add(cancelAgain)
		if next.After(deadline) {
			next = deadline
		}
		err := r.down.RunUntil(next, r.drop)
		switch {
		case errors.Is(err, errAtRest):
		case errors.Is(err, errCopyBegan):
			if err := r.closeOpenRequests(ctx); err != nil {
				return err
			}
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("wait for the backend to come to rest: %w", err)
		case !time.Now().Before(deadline):
			return errors.New("the backend did not come to rest in time")
		default:
			if err := lease.Cancel(ctx); err != nil {
				return fmt.Errorf("cancel what the client left running: %w", err)
			}
		}
	}
	if !r.downFrames.AtBoundary() {
		return errors.New("the backend stopped in the middle of a message")
	}
	return nil
}

func (r *Relay) drop(chunk []byte) error {
	c := &r.conversation
	c.mu.Lock() // nobody else but the timer of what is recorded
	defer c.mu.Unlock()
	if c.record != nil {
		c.record.chunkBegins()
	}
	r.downFrames.Walk(chunk, 0, backendFrames{c})
	switch {
	case c.doubt != "":
		return errors.New(c.doubt)
	case c.idle():
		return errAtRest
	case r.copyToEnd():
		return errCopyBegan
	}
	return nil
}
