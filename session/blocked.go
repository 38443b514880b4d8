package session

import (
	"net"
	"os"
	"syscall"
	"time"
)

// An outlet writes to one socket what goes there at once, without waiting. Only
// one goroutine uses it.
type outlet struct {
	raw     syscall.RawConn // nil when the bytes do not go into the socket as they are (TLS)
	attempt func(fd uintptr) bool
	rest    []byte
	err     error
}

func newOutlet(conn net.Conn) *outlet {
	o := &outlet{}
	switch c := conn.(type) {
	case *net.TCPConn:
		o.raw, _ = c.SyscallConn()
	case *net.UnixConn:
		o.raw, _ = c.SyscallConn()
	}
	o.attempt = o.writeOnce // made once: it would be garbage for each chunk
	return o
}

// write returns how much of p went. Through TLS that cannot be told, and nothing
// is written.
func (o *outlet) write(p []byte) (n int, err error) {
	if o.raw == nil {
		return 0, nil
	}
	o.rest, o.err = p, nil
	err = o.raw.Write(o.attempt)
	n, o.rest = len(p)-len(o.rest), nil
	if o.err != nil {
		err = o.err
	}
	return n, err
}

// writeOnce returns true in any case: not to wait.
func (o *outlet) writeOnce(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), o.rest)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
		case err != nil:
			o.err = os.NewSyscallError("write", err)
		default:
			o.rest = o.rest[n:]
		}
		return true
	}
}

// How often the client is looked at while the backend takes no more input.
const blockedCheck = 250 * time.Millisecond

// writeToBackend passes on what the client sent. A backend that is busy takes no
// input once its buffers are full; while that lasts nobody reads the client, and
// its end would not be noticed. So it is looked for.
func (r *relay) writeToBackend(chunk []byte) error {
	n, err := r.out.write(chunk)
	if err != nil || n == len(chunk) {
		return err
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	watch := time.AfterFunc(blockedCheck, func() {
		defer close(stopped)
		r.watchBlocked(stop)
	})
	_, err = r.backend.Write(chunk[n:])
	close(stop)
	if !watch.Stop() {
		<-stopped
	}
	return err
}

// watchBlocked ends the relay when the client is gone. A client that has closed
// its side may still wait for answers, so it is asked, as in linger.
func (r *relay) watchBlocked(stop <-chan struct{}) {
	ticker := time.NewTicker(blockedCheck)
	defer ticker.Stop()
	asked := false
	for {
		if r.clientVanished() || r.deaf.Load() {
			r.finish(errClientGone)
			return
		}
		if !asked && hasClosed(r.client) {
			asked = true
			r.notify(knownParameterStatus)
		}
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
	}
}
