package session

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

// A disconnectWatch notices a client that leaves while gprxy checks its login or
// waits for a backend, so that nobody queues for a client that is gone. It reads
// ahead to do so, and keeps what it reads.
type disconnectWatch struct {
	conn    net.Conn
	cancel  context.CancelCauseFunc
	reader  sync.WaitGroup
	early   []byte
	stopped bool
}

// watchDisconnect returns a context that ends with errClientGone when the client
// leaves. The caller must call stop before it reads from conn itself.
func watchDisconnect(ctx context.Context, conn net.Conn) (context.Context, *disconnectWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &disconnectWatch{conn: conn, cancel: cancel}
	w.reader.Go(w.read)
	return ctx, w
}

func (w *disconnectWatch) read() {
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

// stop ends the watch and returns what the client sent meanwhile. The caller has
// to set conn's read deadline anew.
func (w *disconnectWatch) stop() []byte {
	if !w.stopped {
		w.stopped = true
		w.conn.SetReadDeadline(socket.LongAgo)
		w.reader.Wait()
		w.cancel(nil)
	}
	return w.early
}

// explain prefers the reason why the login was given up over what broke by it.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
