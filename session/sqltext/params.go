package sqltext

import "math"

// Params are numbers of parameters: of $3, it is 3. nil holds none.
type Params []uint64

const mostParams = math.MaxUint16 // a Bind has no more

// Has tells whether n is one of them.
func (p Params) Has(n int) bool { return n >= 0 && n/64 < len(p) && p[n/64]>>(n%64)&1 == 1 }

// Empty tells whether there are none.
func (p Params) Empty() bool { return len(p) == 0 }

func (p Params) with(n int) Params {
	for len(p) <= n/64 {
		p = append(p, 0)
	}
	p[n/64] |= 1 << (n % 64)
	return p
}

// Or gives those of both. Neither changes.
func (p Params) Or(q Params) Params {
	if len(q) == 0 {
		return p
	}
	all := make(Params, max(len(p), len(q)))
	copy(all, p)
	for i, word := range q {
		all[i] |= word
	}
	return all
}
