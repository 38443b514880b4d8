// The login observer: reads along while pgconn talks to PostgreSQL, because pgconn keeps ParameterStatus in a private map
// without the server's order, and does not tell whether a password was asked for, nor what else the server said.
package pool

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"sync/atomic"

	"gprxy/pool/wire"
)

const (
	// maxMessage bounds a message the pools themselves have to understand. Sessions are not bound by it.
	maxMessage = 1 << 20

	// maxParameters bounds how many reported parameters are kept; PostgreSQL 18 reports 16.
	maxParameters = 256

	// maxGreeting bounds how many messages of a login are kept, maxNotices the bytes of its notices.
	maxGreeting = 2 * maxParameters
	maxNotices  = 64 << 10
)

// loginObserver is the reader pgconn reads from. Only frames pass it: TLS is negotiated below it. It belongs to whoever may
// use the connection, as pgconn does.
type loginObserver struct {
	r      io.Reader
	frames wire.Walker

	parameters []Parameter // in the order PostgreSQL first reported them
	asked      bool        // PostgreSQL asked for a password, in any form
	login      login
	spoken     atomic.Bool // PostgreSQL has begun to answer
	bytes      uint64      // all that PostgreSQL has said
}

func (t *loginObserver) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.bytes += uint64(n)
	t.see(p[:n])
	return n, err
}

// see follows the frames in p, which may begin and end anywhere.
func (t *loginObserver) see(p []byte) { t.frames.Walk(p, 0, t) }

// FrameStart asks for the bodies that are looked at. pgconn refuses bad and oversized lengths itself; here they do no harm.
func (t *loginObserver) FrameStart(kind byte, size uint32) (want uint32) {
	t.spoken.Store(true)
	switch {
	case size > maxMessage:
		return 0
	case kind == wire.ParameterStatus, kind == wire.Authentication, !t.login.done && inLogin(kind):
		return max(size, 1) // of an empty one, too, the end is to be told
	}
	return 0
}

func (t *loginObserver) FrameRest(byte, []byte, bool) {}

func (t *loginObserver) FrameBody(kind byte, body []byte, _ bool) {
	switch kind {
	case wire.ParameterStatus:
		name, rest, ok := bytes.Cut(body, []byte{0})
		value, _, terminated := bytes.Cut(rest, []byte{0})
		if ok && terminated {
			p := Parameter{string(name), string(value)}
			t.parameters = setParameter(t.parameters, p)
			t.login.reported(p)
		}
	case wire.Authentication:
		if len(body) >= 4 {
			t.authentication(binary.BigEndian.Uint32(body))
		}
	default:
		t.login.see(kind, body)
	}
}

func (t *loginObserver) authentication(request uint32) {
	t.asked = t.asked || asksPassword(request)
	t.login.accepted = t.login.accepted || request == 0
}

// asksPassword knows the Authentication requests that are answered with a proof of the password.
func asksPassword(request uint32) bool {
	switch request {
	case 3, 5, 10: // CleartextPassword, MD5Password, SASL
		return true
	default:
		return false
	}
}

// parameter is the value PostgreSQL last reported, "" if it reported none.
func (t *loginObserver) parameter(name string) string {
	i := slices.IndexFunc(t.parameters, func(p Parameter) bool { return p.Name == name })
	if i < 0 {
		return ""
	}
	return t.parameters[i].Value
}

// setParameter replaces a parameter in place or appends it.
func setParameter(list []Parameter, p Parameter) []Parameter {
	i := slices.IndexFunc(list, func(known Parameter) bool { return known.Name == p.Name })
	switch {
	case i >= 0:
		list[i].Value = p.Value
	case len(list) < maxParameters:
		list = append(list, p)
	}
	return list
}
