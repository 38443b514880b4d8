package admission

import (
	"container/list"
	"net/netip"
	"sync"
)

// Slots bound how many connections may be logging in at once, in all and for one origin: they
// are accepted, and it is not known yet who is at the other end. When a bound is reached, a newcomer takes
// the slot of the connection that has let gprxy wait longest: of its own origin, or else of the origin with the most
// of them. So clients that hold slots without using them lose them, and a client that logs in without delay
// finds one, however many others do not. Slots are safe for concurrent use.
type Slots struct {
	most, perOrigin int // 0: no bound

	mu      sync.Mutex // guards all below, and the fields of each Slot
	size    int
	origins map[netip.Prefix]*slotOrigin
	ranks   []*list.List // of origins, by how many of their slots can be taken
	top     int          // the last rank that is not empty
}

// slotOrigin is the slots of one origin.
type slotOrigin struct {
	prefix  netip.Prefix
	size    int
	waiting list.List     // of slots that can be taken, oldest first
	ranked  *list.Element // in Slots.ranks[waiting.Len()]
}

// A Slot belongs to one connection until it is released or another connection takes it. The zero value
// is one that was released.
type Slot struct {
	slots   *Slots
	origin  *slotOrigin   // nil once left
	waiting *list.Element // in origin.waiting; nil while gprxy works for the client
	taken   func()        // tells the connection that its slot is taken; called once at most
}

// NewSlots gives so many slots in all, and for one origin. 0: no bound.
func NewSlots(most, perOrigin int) *Slots { return &Slots{most: most, perOrigin: perOrigin} }

// Enter takes a slot. It fails when there is none, and none that can be taken. taken is called, once at most, when
// another connection takes it: the login is to end then.
func (c *Slots) Enter(from netip.Prefix, taken func()) (*Slot, bool) {
	p, loser := c.admit(from, taken)
	if loser != nil {
		loser.taken()
	}
	return p, p != nil
}

func (c *Slots) admit(from netip.Prefix, taken func()) (p, loser *Slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if full, oldest := c.full(from); full {
		if oldest == nil {
			return nil, nil
		}
		loser = oldest.Value.(*Slot)
		c.remove(loser)
	}
	p = &Slot{slots: c, origin: c.join(from), taken: taken}
	p.origin.size++
	c.size++
	c.offer(p)
	return p, loser
}

// full tells whether a newcomer needs another's slot, and whose it could be.
func (c *Slots) full(from netip.Prefix) (full bool, oldest *list.Element) {
	if o := c.origins[from]; o != nil && c.perOrigin > 0 && o.size >= c.perOrigin {
		return true, o.waiting.Front()
	}
	if c.most == 0 || c.size < c.most {
		return false, nil
	}
	if c.top == 0 {
		return true, nil
	}
	heaviest := c.ranks[c.top].Front().Value.(*slotOrigin)
	return true, heaviest.waiting.Front()
}

// join finds the newcomer's origin. Who comes from nobody knows where is one by
// itself, for it must not answer for others.
func (c *Slots) join(from netip.Prefix) *slotOrigin {
	o := c.origins[from]
	if o == nil {
		o = &slotOrigin{prefix: from}
	}
	if from.IsValid() {
		if c.origins == nil {
			c.origins = make(map[netip.Prefix]*slotOrigin)
		}
		c.origins[from] = o
	}
	return o
}

// Pin keeps the slot from being taken while gprxy does what takes time.
func (p *Slot) Pin() {
	if p.slots == nil {
		return
	}
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.slots.withdraw(p)
}

// Unpin undoes Pin: what comes next is up to the client.
func (p *Slot) Unpin() {
	if p.slots == nil {
		return
	}
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	if p.origin != nil && p.waiting == nil {
		p.slots.offer(p)
	}
}

// Held tells whether it was neither left nor taken.
func (p *Slot) Held() bool {
	if p.slots == nil {
		return false
	}
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	return p.origin != nil
}

// Release gives the slot up. It may be called again.
func (p *Slot) Release() {
	if p.slots == nil {
		return
	}
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.slots.remove(p)
}

// The rest is called with mu held.

func (c *Slots) offer(p *Slot) {
	p.waiting = p.origin.waiting.PushBack(p)
	c.rank(p.origin, p.origin.waiting.Len()-1)
}

func (c *Slots) withdraw(p *Slot) {
	if p.waiting == nil {
		return
	}
	p.origin.waiting.Remove(p.waiting)
	p.waiting = nil
	c.rank(p.origin, p.origin.waiting.Len()+1)
}

func (c *Slots) remove(p *Slot) {
	if p.origin == nil {
		return
	}
	c.withdraw(p)
	c.size--
	if p.origin.size--; p.origin.size == 0 {
		delete(c.origins, p.origin.prefix)
	}
	p.origin = nil
}

// rank moves an origin from rank old, 0 for none, to its new one, at the cost of
// one step however many there are.
func (c *Slots) rank(o *slotOrigin, old int) {
	if o.ranked != nil {
		c.ranks[old].Remove(o.ranked)
		o.ranked = nil
	}
	now := o.waiting.Len()
	for len(c.ranks) <= now {
		c.ranks = append(c.ranks, list.New())
	}
	if now > 0 {
		o.ranked = c.ranks[now].PushBack(o)
		c.top = max(c.top, now)
	}
	for c.top > 0 && c.ranks[c.top].Len() == 0 {
		c.top--
	}
}
