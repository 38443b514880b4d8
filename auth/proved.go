// Signatures that were checked before: programs log in with one token over and over.

package auth

import (
	"crypto/sha256"
	"sync"
)

// mostProved bounds the memory, to 64 kB; when it is reached all is forgotten.
const mostProved = 2000

// proved remembers which tokens a key of the issuer has signed, nothing else of them: who they name
// and whether they still hold is read each time. It holds for one version of the issuer's keys,
// so a token whose key was withdrawn is not let in by it.
type proved struct {
	mu      sync.Mutex // guards all below
	version int        // of the keys
	tokens  map[[sha256.Size]byte]struct{}
}

// sum is what a token is remembered by. The signature is part of it.
func (t *parsedToken) sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(t.input)
	h.Write([]byte{'.'})
	h.Write(t.signature)
	h.Sum(sum[:0])
	return sum
}

func (p *proved) has(t *parsedToken, version int) bool {
	sum := t.sum()
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.tokens[sum]
	return known && p.version == version
}

func (p *proved) add(t *parsedToken, version int) {
	sum := t.sum()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.version != version || len(p.tokens) >= mostProved || p.tokens == nil {
		p.version, p.tokens = version, make(map[[sha256.Size]byte]struct{})
	}
	p.tokens[sum] = struct{}{}
}
