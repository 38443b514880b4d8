package session

import (
	"crypto/rand"
	"testing"
	"time"
)

// Looking a key up costs the same whether its pid is unknown or its secret
// wrong, and however many sessions there are.
func BenchmarkFindKey(b *testing.B) {
	keys := cancelKeys{byPID: map[uint32][]cancelTarget{}}
	keys.wrong.Most = wrongKeysOrigins
	for pid := range uint32(100_000) {
		secret := make([]byte, secretSize30)
		rand.Read(secret)
		keys.byPID[pid] = []cancelTarget{{secret: secret}}
	}
	now := time.Now()
	for name, pid := range map[string]uint32{"unknown pid": 1 << 30, "wrong secret": 4711} {
		b.Run(name, func(b *testing.B) {
			key := backendKey{pid: pid, secret: []byte("nope")}
			for b.Loop() {
				if _, why := keys.find(key, from("192.0.2.1"), now); why == "" {
					b.Fatal("found")
				}
			}
		})
	}
}
