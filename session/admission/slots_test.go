package admission

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func from(address string) netip.Prefix {
	if address == "" {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(netip.MustParseAddr(address), 32)
}

// A visitor of a crowd under test.
type visitor struct {
	*Slot
	name, origin string
	working      bool
	lost         bool
}

func (v *visitor) String() string { return v.name }

// visit lets a visitor in, or returns nil.
func visit(c *Slots, name, origin string) *visitor {
	v := &visitor{name: name, origin: origin}
	p, ok := c.Enter(from(origin), func() { v.lost = true })
	if !ok {
		return nil
	}
	v.Slot = p
	return v
}

func TestWhoLosesItsPlace(t *testing.T) {
	const a, b, d = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	tests := []struct {
		name            string
		most, perOrigin int
		came            []string // origins, in order
		working         []int    // which of them gprxy works for
		newcomer        string
		loses           int // which; -1: nobody, -2: the newcomer is refused
	}{
		{"there is room", 3, 2, []string{a, b}, nil, a, -1},
		{"the oldest of its own origin", 9, 2, []string{b, a, a}, nil, a, 1},
		{"the oldest of its own origin that can be taken", 9, 2, []string{a, a}, []int{0}, a, 1},
		{"nobody of its own origin can be taken", 9, 2, []string{a, a, b}, []int{0, 1}, a, -2},
		{"the oldest of the heaviest origin", 4, 3, []string{a, b, b, b}, nil, d, 1},
		{"heavy is who makes others wait", 4, 3, []string{b, b, b, a}, []int{0, 1, 2}, d, 3},
		{"all are as heavy", 3, 3, []string{b, a, d}, nil, a, 0},
		{"nobody can be taken", 2, 2, []string{a, b}, []int{0, 1}, d, -2},
		{"strangers of unknown origin do not answer for each other", 9, 1, []string{"", ""}, nil, "", -1},
		{"but for all", 2, 1, []string{"", ""}, nil, "", 0},
		{"no bounds", 0, 0, []string{a, a, a}, nil, a, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := NewSlots(test.most, test.perOrigin)
			var in []*visitor
			for i, origin := range test.came {
				in = append(in, visit(c, fmt.Sprint(i), origin))
			}
			for _, i := range test.working {
				in[i].Pin()
			}
			newcomer := visit(c, "newcomer", test.newcomer)
			if (newcomer == nil) != (test.loses == -2) {
				t.Errorf("the newcomer is in: %v", newcomer != nil)
			}
			for i, v := range in {
				if v.lost != (i == test.loses) {
					t.Errorf("visitor %d lost its place: %v", i, v.lost)
				}
			}
		})
	}
}

// Who waits already, or has left, does not wait twice.
func TestWaitingTwiceIsWaitingOnce(t *testing.T) {
	c := NewSlots(2, 2)
	v := visit(c, "one", "192.0.2.1")
	v.Unpin()
	v.Unpin()
	v.Release()
	v.Unpin()
	v.Release()
	if c.size != 0 || len(c.origins) != 0 || c.top != 0 {
		t.Errorf("%d are in, of %d origins, the most of them %d", c.size, len(c.origins), c.top)
	}
}

// Against a model that looks through everybody: the books are right whatever
// happens in whatever order.
func TestCrowdAgainstAModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		c := NewSlots(1+random.IntN(12), 1+random.IntN(6))
		var in []*visitor // oldest wait first
		for step := range 300 {
			switch random.IntN(5) {
			case 0, 1, 2:
				origin := fmt.Sprintf("192.0.2.%d", random.IntN(6))
				want, refused := modelLoser(in, c, origin)
				v := visit(c, fmt.Sprint(step), origin)
				in = slices.DeleteFunc(in, func(v *visitor) bool { return v.lost && v.origin != "" && v == want })
				if (v == nil) != refused || want != nil && !want.lost {
					t.Fatalf("the newcomer is in: %v, want %v; %v should have lost its place", v != nil, !refused, want)
				}
				if v != nil {
					in = append(in, v)
				}
			case 3:
				if len(in) > 0 {
					i := random.IntN(len(in))
					in[i].Release()
					in = slices.Delete(in, i, i+1)
				}
			case 4:
				if len(in) > 0 {
					i := random.IntN(len(in))
					v := in[i]
					if v.working = !v.working; v.working {
						v.Pin()
					} else {
						v.Unpin()
						in = append(slices.Delete(in, i, i+1), v)
					}
				}
			}
			if c.size != len(in) || slices.ContainsFunc(in, func(v *visitor) bool { return v.lost }) {
				t.Fatalf("the crowd has %d places, the model %d", c.size, len(in))
			}
		}
		for _, v := range in {
			v.Release()
			v.Release()
		}
		if c.size != 0 || len(c.origins) != 0 || c.top != 0 {
			t.Fatalf("an empty crowd has %d places, %d origins, rank %d", c.size, len(c.origins), c.top)
		}
	}
}

// modelLoser says who has to go for a newcomer. in is in the order of waiting.
func modelLoser(in []*visitor, c *Slots, origin string) (loser *visitor, refused bool) {
	size, waiting := map[string]int{}, map[string]int{}
	for _, v := range in {
		size[v.origin]++
		if !v.working {
			waiting[v.origin]++
		}
	}
	heaviest := 0
	for _, n := range waiting {
		heaviest = max(heaviest, n)
	}
	own := size[origin] >= c.perOrigin
	if !own && len(in) < c.most {
		return nil, false
	}
	// Of several origins that are as heavy, the crowd takes one: ask it which.
	pick := origin
	if !own && c.top > 0 {
		pick = c.ranks[c.top].Front().Value.(*slotOrigin).prefix.Addr().String()
		if waiting[pick] != heaviest {
			return nil, true // the books are wrong: let the test fail
		}
	}
	for _, v := range in {
		if !v.working && v.origin == pick {
			return v, false
		}
	}
	return nil, true
}

// What a newcomer costs does not grow with the crowd.
func BenchmarkCrowd(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := NewSlots(size, size/2)
			for i := range b.N {
				c.Enter(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32), func() {})
			}
		})
	}
}
