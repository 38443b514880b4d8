package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gprxy/pool"
	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/socket"
)

// A Relay joins a client and a leased backend until one of them ends or somebody
// ends the session. Two goroutines, one for each direction, never wait for each
// other, so pipelining, COPY, Flush and LISTEN need no care. They read what is
// there, walk its frames in place and write it on whole.
//
// While Run is running the relay is the only reader and writer of both sockets.
// Afterwards both belong to the caller again, and the relay's state tells what
// may be done with the backend.
type Relay struct {
	client, backend       net.Conn
	up, down              *socket.Reader // up reads the client, down the backend
	clientOut, backendOut *socket.Writer // where each is written to

	OnFault   func(fault any)
	recording *recording // of the statements; nil for none

	conversation conversation
	upFrames     wire.Walker // guarded by conversation.mu, as is all below
	downFrames   wire.Walker
	draining     error         // why to end at the next resting moment
	sparing      bool          // but not before the first statement
	ended        error         // why the relay is ending: nothing more goes to the backend
	over         chan struct{} // closed with ended
	copiesFailed int           // COPY FROM STDIN that Settle has ended

	newStamp func(before *pool.Restamp) *pool.Restamp // nil: the backend has no stamp
	stamping *stamping                                // under way

	writing  sync.Mutex             // held from seeing a chunk until the client has it
	injected atomic.Pointer[[]byte] // a message of gprxy's own for the client, see Inject

	requesting        atomic.Bool // a chunk of the client's is in hand
	answering         atomic.Bool // a chunk of the backend's is
	requestsCut       atomic.Bool // the backend lacks a part of what was seen
	clientWriteFailed atomic.Bool
	bytesIn           atomic.Int64
	bytesOut          atomic.Int64
}

// Why a relay ended, besides refusal.ErrClientGone and the reasons that it was given.
var (
	ErrTerminate   = errors.New("the client said goodbye")
	ErrBackendGone = errors.New("the backend is gone")
	ErrFault       = errors.New("a fault in gprxy")
)

const (
	// What a backend that takes no more may still have to say.
	lastWordsWait = time.Second
)

// New returns a relay of two sockets, which stay the caller's. status is that of the last ReadyForQuery that the client has.
func New(client, backend net.Conn, status byte) *Relay {
	r := &Relay{client: client, backend: backend, up: socket.NewReader(client), down: socket.NewReader(backend),
		clientOut: socket.NewWriter(client), backendOut: socket.NewWriter(backend),
		over: make(chan struct{})}
	r.conversation.status = status
	r.conversation.room = make(chan struct{}, 1)
	r.upFrames.HoldAt(&r.conversation.resetting)
	return r
}

// Run relays until an end, which it returns: ErrTerminate, refusal.ErrClientGone,
// ErrBackendGone, ErrFault, or the reason given to End or Drain. early is what the client
// sent before the relay began.
func (r *Relay) Run(early []byte) error {
	var fromBackend error
	var down sync.WaitGroup
	down.Go(func() {
		defer r.recoverFault()
		fromBackend = r.down.Run(r.toClient)
		if !errors.Is(fromBackend, socket.ErrInterrupted) {
			r.finish(r.backendEnd(fromBackend))
		}
	})
	fromClient := error(nil)
	if len(early) > 0 {
		fromClient = r.toBackend(early)
	}
	if fromClient == nil {
		fromClient = r.up.Run(r.toBackend)
	}
	inputOver := errors.Is(fromClient, io.EOF) || errors.Is(fromClient, ErrTerminate)
	switch {
	case inputOver:
		r.down.Interrupt()
	case errors.Is(fromClient, ErrBackendGone):
		// It may have said why before it went.
		lastWords := time.AfterFunc(lastWordsWait, func() { r.finish(ErrBackendGone) })
		down.Wait()
		lastWords.Stop()
		r.finish(ErrBackendGone)
	default:
		r.finish(refusal.ErrClientGone)
	}
	down.Wait()
	if inputOver && errors.Is(fromBackend, socket.ErrInterrupted) {
		r.finish(r.halfClose(fromClient))
	}
	return r.reason()
}

// toBackend passes on what the client sent, up to its Terminate. What comes behind a Query
// that may drop the stamp goes on when that is answered.
func (r *Relay) toBackend(chunk []byte) error {
	r.requesting.Store(true)
	defer r.requesting.Store(false)
	for {
		n, err := r.passRequests(chunk)
		switch {
		case err != nil:
			return err
		case n == len(chunk):
			return nil
		case !r.resetting():
			return ErrTerminate
		}
		chunk = chunk[n:]
	}
}

// passRequests passes on as much of chunk as may go at once.
func (r *Relay) passRequests(chunk []byte) (n int, err error) {
	if !r.awaitAnswers() {
		return 0, socket.ErrInterrupted
	}
	if err := r.restamp(); err != nil {
		return 0, err
	}
	if err := r.recording.awaitRoom(); err != nil {
		return 0, r.stopBefore(err)
	}
	if n, err = r.seeRequests(chunk); err != nil {
		return 0, err
	}
	if err := r.recording.announce(); err != nil {
		return 0, r.stopBefore(err)
	}
	r.bytesIn.Add(int64(n))
	if n > 0 {
		if err := r.writeToBackend(chunk[:n]); err != nil {
			r.requestsCut.Store(true)
			return 0, ErrBackendGone
		}
	}
	return n, nil
}

// awaitAnswers holds the client up while the backend has more to answer than memory should
// hold, or before the stamp can be put back. It returns false if the relay ends meanwhile;
// nothing of what the client sent last has gone on then.
func (r *Relay) awaitAnswers() bool {
	for r.mustWait() {
		if !r.wait(r.conversation.room) {
			return false
		}
	}
	return true
}

// wait waits for a signal while nobody reads the client. It returns false if the relay ends
// meanwhile.
func (r *Relay) wait(signal <-chan struct{}) bool {
	for {
		select {
		case <-signal:
			return true
		case <-r.over:
			return false
		case <-time.After(halfCloseCheck):
			if r.clientVanished() {
				r.finish(refusal.ErrClientGone)
				return false
			}
		}
	}
}

func (r *Relay) mustWait() bool {
	c := &r.conversation
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaiting = c.crowded() || r.beforeStamp()
	if !c.awaiting {
		c.resetting = false
	}
	return c.awaiting
}

// makeRoom lets whoever waits for answers look again.
func (r *Relay) makeRoom() {
	c := &r.conversation
	if !c.awaiting || c.crowded() || r.beforeStamp() {
		return
	}
	c.awaiting = false
	c.room <- struct{}{} // empty: whoever waits takes one for each time
}

// stopBefore ends the relay for want of a record. What the client asked for last does
// not reach the backend, which can therefore not be used again.
func (r *Relay) stopBefore(err error) error {
	r.requestsCut.Store(true)
	r.finish(err)
	return socket.ErrInterrupted
}

// toClient passes on what the backend sent.
func (r *Relay) toClient(chunk []byte) error {
	drained, err := r.passOn(chunk)
	if r.injected.Load() != nil {
		r.sendInjected()
	}
	if err == nil && drained != nil {
		r.finish(drained)
	}
	return err
}

// passOn holds writing until the client has the chunk: what was seen of the
// stream and what was sent of it are the same for whoever holds it next.
func (r *Relay) passOn(chunk []byte) (drained, err error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	if chunk, err = r.withoutStamp(chunk); err != nil || len(chunk) == 0 {
		return nil, err
	}
	r.answering.Store(true)
	defer r.answering.Store(false)
	drained = r.seeReplies(chunk)
	n, err := r.clientOut.Write(chunk)
	r.bytesOut.Add(int64(n))
	if err != nil {
		r.clientWriteFailed.Store(true)
		r.leftBefore(drained)
		return nil, refusal.ErrClientGone
	}
	return drained, nil
}

// leftBefore: the client was gone before it could read that the relay ends for that reason.
func (r *Relay) leftBefore(drained error) {
	r.conversation.mu.Lock()
	defer r.conversation.mu.Unlock()
	if drained != nil && r.ended == drained {
		r.ended = refusal.ErrClientGone
	}
}

// seeRequests notes what the client asks for in chunk, before the backend can
// answer it, and returns how much of it is to go on.
func (r *Relay) seeRequests(chunk []byte) (n int, err error) {
	c := &r.conversation
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.ended != nil {
		return 0, socket.ErrInterrupted
	}
	if c.record != nil {
		c.record.chunkBegins()
	}
	return r.upFrames.Walk(chunk, wire.Terminate, clientFrames{c}), nil
}

// seeReplies notes what the backend answers in chunk. It returns the reason to
// end once the client has the chunk, if it is time; no request passes any more then.
func (r *Relay) seeReplies(chunk []byte) (drained error) {
	c := &r.conversation
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.record != nil {
		c.record.chunkBegins()
	}
	r.downFrames.Walk(chunk, 0, backendFrames{c})
	r.makeRoom()
	if drained = r.drained(); drained != nil {
		r.noteEnd(drained)
	}
	return drained
}

// recoverFault keeps a fault in one session from ending the process.
func (r *Relay) recoverFault() {
	if fault := recover(); fault != nil {
		r.OnFault(fault)
		r.finish(ErrFault)
	}
}

func (r *Relay) backendEnd(err error) error {
	if errors.Is(err, refusal.ErrClientGone) || errors.Is(err, refusal.ErrUnstamped) {
		return err
	}
	return ErrBackendGone
}

// CanTell tells whether a message of gprxy's own may follow what the client has
// been sent.
func (r *Relay) CanTell() bool {
	r.conversation.mu.Lock()
	defer r.conversation.mu.Unlock()
	return !r.clientWriteFailed.Load() && r.downFrames.AtBoundary()
}

// RestoreDeadlines hands the sockets over as they were taken. Nobody may call End
// or Drain any more.
func (r *Relay) RestoreDeadlines() {
	r.up.Resume()
	r.down.Resume()
	r.client.SetWriteDeadline(time.Time{})
	r.backend.SetWriteDeadline(time.Time{})
}

// OnParameter has heard called with each ParameterStatus, under a lock of the relay's. It is called before Record.
func (r *Relay) OnParameter(heard func(name, value string)) { r.conversation.parameters = heard }

// BetweenRequests tells whether the backend has the client's messages whole. Run must have returned, as for all that follow.
func (r *Relay) BetweenRequests() bool { return r.upFrames.AtBoundary() && !r.requestsCut.Load() }

// RequestsLost tells whether the client sent a length that is impossible.
func (r *Relay) RequestsLost() bool { return r.upFrames.Lost() }

// BackendSaidWhy tells whether the backend announced its end, in a message that the client has.
func (r *Relay) BackendSaidWhy() bool { return r.conversation.fatal }

// Figures are what passed a relay.
type Figures struct {
	Statements, Errors, Rows int64
	BytesIn, BytesOut        int64  // from and to the client
	Doubt                    string // why answers could not be told apart; "" if they could
}

// Figures gives what has passed.
func (r *Relay) Figures() Figures {
	c := &r.conversation
	c.mu.Lock()
	defer c.mu.Unlock()
	return Figures{Statements: c.statements, Errors: c.errors, Rows: c.rows, BytesIn: r.bytesIn.Load(), BytesOut: r.bytesOut.Load(),
		Doubt: c.doubt}
}
