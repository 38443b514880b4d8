package session

import (
	"net/netip"
	"testing"
	"time"

	"gprxy/pool"
	"gprxy/session/admission"
	"gprxy/session/startup"
)

// Two servers behind one name, or one that was restarted while sessions of the old
// one have not ended, may use the same pid. Each key still opens its own session.
func TestKeysOfTheSamePID(t *testing.T) {
	keys := cancelKeys{wrong: admission.LRU[netip.Prefix, admission.LeakyBucket]{Most: wrongKeysOrigins}}
	here := from("192.0.2.1")
	backends := []*pool.Lease{{}, {}, {}}
	minted := []backendKey{
		keys.add("a", here, 3<<16, 4711, backends[0]),
		keys.add("b", here, startup.Protocol32, 4711, backends[1]),
		keys.add("c", here, 3<<16, 4711, backends[2]),
	}
	want := func(when string, open ...bool) {
		t.Helper()
		for i, key := range minted {
			target, why := keys.find(key, here, time.Now())
			ok := why == ""
			if ok != open[i] || ok && target.backend != backends[i] {
				t.Errorf("%s: key %d opens %v (session %q)", when, i, ok, target.session)
			}
		}
	}
	want("all run", true, true, true)
	keys.remove(minted[0])
	want("the first has ended", false, true, true)
	keys.remove(minted[0])
	want("it is removed once more", false, true, true)
	keys.remove(minted[2])
	want("the last has ended", false, true, false)
	keys.remove(minted[1])
	want("all have ended", false, false, false)
	if len(keys.byPID) != 0 {
		t.Errorf("%d pids are kept", len(keys.byPID))
	}
}

// A part of a secret, more than the secret, or another session's opens nothing.
func TestSecretsMustBeWhole(t *testing.T) {
	keys := cancelKeys{wrong: admission.LRU[netip.Prefix, admission.LeakyBucket]{Most: wrongKeysOrigins}}
	here := from("192.0.2.1")
	key := keys.add("a", here, startup.Protocol32, 1, &pool.Lease{})
	other := keys.add("b", here, startup.Protocol32, 2, &pool.Lease{})
	for name, secret := range map[string][]byte{
		"nothing": nil, "a part": key.secret[:31], "more": append(key.secret[:32:32], 0), "another's": other.secret,
	} {
		if _, why := keys.find(backendKey{1, secret}, here, time.Now()); why == "" {
			t.Errorf("%s opens a session", name)
		}
	}
}

// Who goes on guessing is not let in between; who stops is, after some seconds.
func TestAGuesserStaysLocked(t *testing.T) {
	keys := cancelKeys{wrong: admission.LRU[netip.Prefix, admission.LeakyBucket]{Most: wrongKeysOrigins}}
	now, there := time.Now(), from("192.0.2.1")
	key := keys.add("a", from("192.0.2.2"), startup.Protocol32, 1, &pool.Lease{})
	for range 1000 {
		keys.find(backendKey{1, make([]byte, 32)}, there, now)
	}
	if _, why := keys.find(keys.add("b", there, startup.Protocol32, 2, &pool.Lease{}), there, now); why != "" {
		t.Errorf("a session of its own: %q", why)
	}
	if _, why := keys.find(key, netip.Prefix{}, now); why != "" {
		t.Errorf("from nobody knows where: %q", why)
	}
	if _, why := keys.find(key, there, now.Add(time.Second)); why != reasonTooManyKeys {
		t.Errorf("a second later: %q", why)
	}
	if _, why := keys.find(key, there, now.Add(12*time.Second)); why != "" {
		t.Errorf("12 seconds later: %q", why)
	}
}
