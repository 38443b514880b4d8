// What PostgreSQL says at a backend's login. The session that the backend is opened for hears it as it came; later ones
// hear the same, as they would from a backend of their own: it has the same startup parameters.
package pool

import (
	"bytes"
	"encoding/binary"
	"slices"

	"gprxy/pool/wire"
)

// Message is one message of a greeting: a ParameterStatus, a NoticeResponse or the BackendKeyData.
type Message struct {
	Kind      byte      // 'S', 'N' or 'K'
	Parameter Parameter // of 'S'
	Notice    []byte    // of 'N': the body as it came; not to be changed
	PID       uint32    // of 'K'
}

// login is the part of the observer that listens up to the first ReadyForQuery.
type login struct {
	accepted bool // AuthenticationOk came
	done     bool // ReadyForQuery came
	greeting []Message
	notices  int // bytes of them
}

// inLogin tells what see wants to know the body of.
func inLogin(kind byte) bool {
	return kind == wire.NoticeResponse || kind == wire.BackendKeyData || kind == wire.ReadyForQuery
}

func (l *login) reported(p Parameter) { l.keep(Message{Kind: 'S', Parameter: p}) }

func (l *login) see(kind byte, body []byte) {
	switch {
	case kind == 'Z':
		l.done = true
	case kind == 'K' && len(body) >= 4:
		l.keep(Message{Kind: 'K', PID: binary.BigEndian.Uint32(body)})
	case kind == 'N' && l.notices+len(body) <= maxNotices:
		l.notices += len(body)
		l.keep(Message{Kind: 'N', Notice: bytes.Clone(body)})
	}
}

func (l *login) keep(m Message) {
	if !l.done && len(l.greeting) < maxGreeting {
		l.greeting = append(l.greeting, m)
	}
}

// Greeting is what PostgreSQL said at the backend's login after AuthenticationOk, in its order, with values that are
// true for this session: after Settings, and with what SetParameter was told.
func (l *Lease) Greeting() []Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	greeting := slices.Clone(l.backend.observer.login.greeting)
	for i, m := range greeting {
		again := func(later Message) bool { return later.Kind == 'S' && later.Parameter.Name == m.Parameter.Name }
		if m.Kind != 'S' || slices.ContainsFunc(greeting[i+1:], again) {
			continue // what a login trigger changed is reported twice
		}
		is := func(p Parameter) bool { return p.Name == m.Parameter.Name }
		if now := slices.IndexFunc(l.parameters, is); now >= 0 {
			greeting[i].Parameter = l.parameters[now]
		}
	}
	return greeting
}
