// Cancel: the upstream CancelRequest and the fence around it.
package pool

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

const cancelRequestCode = 80877102

// Cancel asks PostgreSQL to cancel what this backend runs, over a connection as encrypted as the backend's own. It
// returns when the server has closed that connection: the signal has been sent then, and can no longer hit a later
// session. Until then Release waits. Cancels of one lease go one after the other. ErrReleased: the lease has ended and
// nothing was sent.
//
// Why the end of the connection is enough: the server process that reads the request calls kill() before it closes the
// connection. From then on the signal is pending, and the kernel runs its handler before the backend can return from any
// system call, so also from the one with which it reads what was sent after the end was seen: the reset. A backend that
// was waiting for a command then drops the cancel (ProcessInterrupts while DoingCommandRead). The end must be the
// server's own: something in between that closes first and still delivers the request defeats this.
func (l *Lease) Cancel(ctx context.Context) error {
	ctx, leave, err := l.pools.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, l.pools.config.ConnectTimeout)
	defer cancel()
	select {
	case l.cancelling <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.cancelling }()
	if l.hasEnded() {
		return ErrReleased
	}
	l.cancels.Add(1)
	return l.sendCancel(ctx)
}

// Cancels is how many requests to cancel were sent to the backend for this lease.
func (l *Lease) Cancels() int64 { return l.cancels.Load() }

func (l *Lease) hasEnded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// awaitCancels waits until no cancel is in flight and lets no other begin: the lease has ended, and its place is kept.
func (l *Lease) awaitCancels(ctx context.Context) error {
	select {
	case l.cancelling <- struct{}{}:
		defer func() { <-l.cancelling }()
	case <-ctx.Done():
		return errors.New("a cancel is still in flight")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unsettled {
		return errors.New("a cancel was sent that PostgreSQL has not confirmed")
	}
	return nil
}

// sendCancel sends the request and waits for the end of the connection.
func (l *Lease) sendCancel(ctx context.Context) error {
	want := plainOnly
	if _, encrypted := l.backend.wire.(*tls.Conn); encrypted {
		want = requireTLS
	}
	// The address of this very server: the name may lead to another one by now.
	wire, s, err := l.pools.dialer.connectTo(ctx, l.Backend(), want)
	if err != nil {
		return connectError(ctx, fmt.Errorf("connecting to cancel: %w", err))
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })()

	l.setUnsettled(true)
	if _, err := wire.Write(l.cancelRequest()); err != nil {
		return connectError(ctx, fmt.Errorf("sending the cancel: %w", err))
	}
	// PostgreSQL answers with nothing but the end; over TLS it may leave close_notify out.
	_, err = io.Copy(io.Discard, wire) // bounded by ctx
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return connectError(ctx, fmt.Errorf("waiting for the cancel to be done: %w", err))
	}
	l.setUnsettled(false)
	return nil
}

// Abandon is Discard for a backend that runs something: it closes the connection first and cancels then. A backend
// that cannot answer ends at its next statement, also when the client has sent many ahead, each of which a cancel would
// end alone. The backend is closed in any case; an error says that PostgreSQL did not take the cancel.
func (l *Lease) Abandon(ctx context.Context) error {
	ctx, leave, err := l.pools.enter(ctx)
	if err != nil {
		l.Discard()
		return err
	}
	defer leave()
	if !l.begin() {
		return nil
	}
	defer l.free()
	if tcp, ok := l.backend.socket.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) // a reset: the backend's very first write fails
	}
	l.drop()
	ctx, cancel := context.WithTimeout(ctx, l.pools.config.ConnectTimeout)
	defer cancel()
	if err := l.sendCancel(ctx); err != nil {
		return err
	}
	for _, pause := range cancelAgain {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		if err := l.sendCancel(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cancelAgain is when an abandoned backend is cancelled anew. On a busy machine it may still be reading the statement
// when the first cancel comes, which it then drops; nobody else would end the statement, since nobody reads its answer.
var cancelAgain = []time.Duration{100 * time.Millisecond, 400 * time.Millisecond}

func (l *Lease) setUnsettled(unsettled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsettled = unsettled
}

func (l *Lease) cancelRequest() []byte {
	key := l.pg.SecretKey()
	packet := make([]byte, 0, 12+len(key))
	packet = binary.BigEndian.AppendUint32(packet, uint32(12+len(key)))
	packet = binary.BigEndian.AppendUint32(packet, cancelRequestCode)
	packet = binary.BigEndian.AppendUint32(packet, l.pg.PID())
	return append(packet, key...)
}
