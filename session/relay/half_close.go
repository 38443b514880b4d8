package relay

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/socket"
)

// The client's last word has come, and the backend still works: is anybody waiting?

const (
	// A client that closed its sending side may wait for answers (nc -N) or be
	// dead: the two look alike until something is sent. This long answers may
	// take before the client is asked (see askIfAlive).
	halfCloseGrace = 300 * time.Millisecond
	halfCloseCheck = 100 * time.Millisecond
	halfCloseAgain = 5 * time.Second
)

// halfClose lets running requests finish after the client's last word: it may have
// closed only its sending side. It returns why the relay ends: why, or that the
// client turned out to be gone or the backend went.
func (r *Relay) halfClose(why error) error {
	if errors.Is(why, io.EOF) {
		why = refusal.ErrClientGone
	}
	r.down.Resume()
	if ended := r.reason(); ended != nil {
		return ended // and its interrupt may just have been undone
	}
	ask := time.Now().Add(halfCloseGrace)
	next := ask
	passed := false
	for !r.answered() {
		if !passed && (r.inDoubt() || r.leftHalfway()) {
			passed = true
			r.passOnEnd()
		}
		err := r.down.RunUntil(next, r.toClientUntilAnswered)
		switch {
		case passed && errors.Is(err, io.EOF):
			return why
		case errors.Is(err, errAnswered):
			return why
		case errors.Is(err, socket.ErrInterrupted):
			return socket.ErrInterrupted // somebody else ended it, and finish knows why
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return r.backendEnd(err)
		case r.clientVanished():
			return refusal.ErrClientGone
		}
		now := time.Now()
		if !now.Before(ask) {
			if !r.askIfAlive() {
				return refusal.ErrClientGone
			}
			ask = now.Add(halfCloseAgain)
		}
		next = now.Add(halfCloseCheck)
	}
	return why
}

func (r *Relay) inDoubt() bool {
	c := &r.conversation
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doubt != ""
}

// leftHalfway: the client's last message is not whole. What came before it is answered all the same.
func (r *Relay) leftHalfway() bool {
	r.conversation.mu.Lock()
	defer r.conversation.mu.Unlock()
	return !r.upFrames.AtBoundary()
}

// passOnEnd tells the backend, too, that nothing more will come: where it is in doubt what it
// still owes, or something was begun that it will not answer, it alone knows when it has answered all. It will not be used again.
func (r *Relay) passOnEnd() {
	r.requestsCut.Store(true)
	if half, ok := r.backend.(interface{ CloseWrite() error }); ok {
		half.CloseWrite() // an error shows with the next read
	}
}

var errAnswered = errors.New("everything is answered")

func (r *Relay) toClientUntilAnswered(chunk []byte) error {
	if err := r.toClient(chunk); err != nil {
		return err
	}
	if r.answered() {
		return errAnswered
	}
	return nil
}

// answered: the backend owes nothing to a client that will send no more.
func (r *Relay) answered() bool {
	c := &r.conversation
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.doubt != "" || !r.upFrames.AtBoundary() {
		return false // its end will tell, see passOnEnd
	}
	// What was sent without a Sync or a Flush, or into a COPY that the client did not end, need never be answered.
	copying := c.copyBoth || c.copyIn && c.owed.copyEnds == 0
	return copying || !c.owed.has(wire.Query, wire.Sync, wire.FunctionCall) && !c.owed.flushed()
}

// askIfAlive sends the client something that changes nothing, a ParameterStatus
// it has already had. A dead client's machine answers with a reset, which
// clientVanished will see.
func (r *Relay) askIfAlive() bool {
	r.conversation.mu.Lock()
	boundary := r.downFrames.AtBoundary()
	r.conversation.mu.Unlock()
	if !boundary {
		return true // rows are flowing: writing them asks as well
	}
	_, err := r.client.Write(knownParameterStatus)
	return err == nil
}

// Every server of protocol 3.0 has integer datetimes since PostgreSQL 10.
var knownParameterStatus = []byte("S\x00\x00\x00\x19integer_datetimes\x00on\x00")

// clientVanished tells whether the client's machine has reset the connection.
func (r *Relay) clientVanished() bool {
	var fault int
	err := socket.Control(r.client, func(fd int) (err error) {
		fault, err = syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
		return err
	})
	return err != nil || fault != 0
}
