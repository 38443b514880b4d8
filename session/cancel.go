package session

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gprxy/pool"
	"gprxy/session/admission"
	"gprxy/session/refusal"
	"gprxy/session/startup"
	"gprxy/store"
)

// A backendKey is what BackendKeyData tells a client and a CancelRequest brings
// back: the backend's real pid, and a secret minted for this session alone. The
// backend's own secret never leaves gprxy.
type backendKey struct {
	pid    uint32
	secret []byte
}

const (
	secretSize30 = 4
	secretSize32 = 32
	// What the manual allows a key of protocol 3.2 to be.
	maxSecretSize = 256

	// How long the backend may take to accept a cancel request.
	cancelTimeout = 10 * time.Second

	// How many wrong keys an origin may send at once, and then each second, before
	// its requests reach its own sessions only. At this rate it takes years to guess
	// a secret of four bytes.
	wrongKeys          = 100
	wrongKeysPerSecond = 10
	wrongKeysOrigins   = 4096
)

// cancelKeys are the keys of the running sessions. A pid has several while two
// servers stand behind one name, or while sessions of a server that has just been
// restarted have not ended yet.
type cancelKeys struct {
	mu    sync.Mutex // guards all below
	byPID map[uint32][]cancelTarget
	wrong admission.LRU[netip.Prefix, admission.LeakyBucket] // keys that an origin has sent
}

type cancelTarget struct {
	secret  []byte
	session string
	from    netip.Prefix // the session's client
	backend *pool.Lease
}

// has compares in constant time: how long it takes tells nothing of the secret.
func (t cancelTarget) has(secret []byte) bool {
	return subtle.ConstantTimeCompare(t.secret, secret) == 1
}

// add mints a key for a session that has just been given the backend of this pid.
func (k *cancelKeys) add(session string, from netip.Prefix, protocol, pid uint32, backend *pool.Lease) backendKey {
	key := backendKey{pid: pid, secret: newSecret(protocol)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byPID == nil {
		k.byPID = make(map[uint32][]cancelTarget)
	}
	k.byPID[pid] = append(k.byPID[pid], cancelTarget{key.secret, session, from, backend})
	return key
}

func newSecret(protocol uint32) []byte {
	size := secretSize30
	if protocol >= startup.Protocol32 {
		size = secretSize32
	}
	secret := make([]byte, size)
	rand.Read(secret) // never fails (crypto/rand)
	return secret
}

// remove makes the key worthless. It comes before the backend is given back.
func (k *cancelKeys) remove(key backendKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byPID[key.pid] = slices.DeleteFunc(k.byPID[key.pid], func(t cancelTarget) bool { return t.has(key.secret) })
	if len(k.byPID[key.pid]) == 0 {
		delete(k.byPID, key.pid)
	}
}

// find tells which session a key that came from there cancels, or why none. It
// takes the same time for a pid that no session has as for a wrong secret.
func (k *cancelKeys) find(key backendKey, from netip.Prefix, now time.Time) (target cancelTarget, rejected string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	target, right := k.open(key)
	guessing := from.IsValid() && k.wrong.Entry(from).Fill(0, now, wrongKeysPerSecond) > wrongKeys
	if right && (!guessing || target.from == from) {
		return target, ""
	}
	wrong := k.wrong.Entry(from)
	wrong.Level = min(wrong.Level+1, 2*wrongKeys) // who goes on is not let in between
	if guessing {
		return cancelTarget{}, reasonTooManyKeys
	}
	return cancelTarget{}, reasonUnknownKey
}

// open returns the session whose key it is. Called with mu held.
func (k *cancelKeys) open(key backendKey) (cancelTarget, bool) {
	targets, known := k.byPID[key.pid]
	if !known {
		targets = []cancelTarget{{secret: secretOfNobody[:min(len(key.secret), len(secretOfNobody))]}}
	}
	for _, target := range targets {
		if target.has(key.secret) {
			return target, known
		}
	}
	return cancelTarget{}, false
}

// secretOfNobody is what is compared where there is no secret.
var secretOfNobody [maxSecretSize]byte

// cancelRequest is what a CancelRequest packet holds.
type cancelRequest = backendKey

func (s *session) readCancelRequest(body []byte) error {
	if len(body) < 4+4+1 || len(body) > 4+4+maxSecretSize {
		return refusal.Unintelligible("invalid length of cancel request packet")
	}
	s.asked.cancelKey = &cancelRequest{pid: binary.BigEndian.Uint32(body[4:]), secret: body[8:]}
	return nil
}

// Reasons for which gprxy rejects a cancel request by itself.
const (
	reasonUnknownKey  = "unknown_key"
	reasonTooManyKeys = "too_many_wrong_keys"
)

// cancel serves a CancelRequest. The client gets no answer, as the protocol has
// it; its connection is closed once the backend has the request, so that the
// client's next statement cannot be hit.
func (s *session) cancel(ctx context.Context) {
	ctx, done := context.WithTimeout(ctx, cancelTimeout)
	defer done()
	s.login.slot.Pin()
	pid := s.asked.cancelKey.pid
	target, why := s.handler.keys.find(*s.asked.cancelKey, s.client.prefix, time.Now())
	if why != "" {
		rejected := store.CancelRejected{Client: s.client.address, BackendPID: pid, Reason: why}
		if s.handler.condenser.Admit(rejected.Type(), rejected.Reason, s.client.prefix, time.Now()) {
			s.recordCancel(ctx, store.Event{Fact: rejected})
		}
		return
	}
	if err := target.backend.Cancel(ctx); err != nil {
		reason := "postgresql_unreachable"
		if errors.Is(err, pool.ErrReleased) {
			reason = "session_ended"
		}
		s.client.log.Debug("a cancel request was not forwarded", "of", target.session, "error", err)
		s.recordCancel(ctx, store.Event{Session: target.session, Fact: store.CancelRejected{Client: s.client.address, BackendPID: pid,
			Reason: reason}})
		return
	}
	s.recordCancel(ctx, store.Event{Session: target.session, Fact: store.CancelForwarded{Client: s.client.address, BackendPID: pid}})
}

// recordCancel waits for the log, but a log that cannot be written does not stop
// people from cancelling: the event is written when it can.
func (s *session) recordCancel(ctx context.Context, event store.Event) {
	event.Time = time.Now()
	s.client.log.Debug("cancel request", "of", event.Session, "type", event.Fact.Type())
	if s.handler.Events.Healthy() != nil {
		s.handler.Events.Enqueue(event)
		return
	}
	if err := s.handler.Events.Append(ctx, event); err != nil {
		s.client.log.Debug("the cancel request waits for the event log", "error", err)
	}
}
