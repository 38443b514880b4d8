package startup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"

	"gprxy/session/refusal"
	"gprxy/session/socket"
)

// A DisconnectWatch notices a client that leaves while gprxy checks its login or
// waits for a backend, so that nobody queues for a client that is gone. It reads
// ahead to do so, and keeps what it reads.
type DisconnectWatch struct {
	conn    net.Conn
	cancel  context.CancelCauseFunc
	reader  sync.WaitGroup
	early   []byte
	stopped bool
}

// WatchDisconnect returns a context that ends with refusal.ErrClientGone when the client
// leaves. The caller must call Stop before it reads from conn itself.
func WatchDisconnect(ctx context.Context, conn net.Conn) (context.Context, *DisconnectWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &DisconnectWatch{conn: conn, cancel: cancel}
	w.reader.Go(w.read)
	return ctx, w
}

func (w *DisconnectWatch) read() {
	defer func() {
		if fault := recover(); fault != nil {
			w.cancel(fmt.Errorf("a fault in gprxy: %v\n%s", fault, debug.Stack()))
		}
	}()
	buf := socket.GetChunk()
	defer socket.PutChunk(buf)
	n, err := w.conn.Read(buf[:])
	w.early = append([]byte(nil), buf[:n]...)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.cancel(refusal.ErrClientGone)
	}
}

// Stop ends the watch and returns what the client sent meanwhile. The caller has
// to set conn's read deadline anew.
func (w *DisconnectWatch) Stop() []byte {
	if !w.stopped {
		w.stopped = true
		w.conn.SetReadDeadline(socket.LongAgo)
		w.reader.Wait()
		w.cancel(nil)
	}
	return w.early
}

// Reason prefers the reason why the login was given up over what broke by it.
func Reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
