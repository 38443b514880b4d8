package session

import (
	"container/list"
	"net/netip"
	"sync"
)

// A crowd is the connections of strangers: accepted, and nobody knows yet who is
// at the other end. They are bounded in all and for one origin. When a bound is
// reached, a newcomer takes the place of the one that was waited on longest: of
// its own origin, or else of the origin with the most of them. So who holds
// places without using them loses them, and a client that logs in without delay
// finds one, however many others do not.
type crowd struct {
	most, perOrigin int // 0: no bound

	mu      sync.Mutex // guards all below, and the fields of places
	size    int
	origins map[netip.Prefix]*crowdOrigin
	ranks   []*list.List // of origins, by how many of their places can be taken
	top     int          // the last rank that is not empty
}

// crowdOrigin is the places of one origin.
type crowdOrigin struct {
	prefix  netip.Prefix
	size    int
	waiting list.List     // of places that can be taken, oldest first
	ranked  *list.Element // in crowd.ranks[waiting.Len()]
}

// A place in a crowd belongs to one connection until it leaves or the place is
// taken. The zero value is one that was left.
type place struct {
	crowd   *crowd
	origin  *crowdOrigin  // nil once left
	waiting *list.Element // in origin.waiting; nil while gprxy works for the client
	taken   func()        // tells the connection that its place is taken; called once at most
}

// enter takes a place. It fails when there is none, and none that can be taken.
func (c *crowd) enter(from netip.Prefix, taken func()) (*place, bool) {
	p, loser := c.admit(from, taken)
	if loser != nil {
		loser.taken()
	}
	return p, p != nil
}

func (c *crowd) admit(from netip.Prefix, taken func()) (p, loser *place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if full, oldest := c.full(from); full {
		if oldest == nil {
			return nil, nil
		}
		loser = oldest.Value.(*place)
		c.remove(loser)
	}
	p = &place{crowd: c, origin: c.join(from), taken: taken}
	p.origin.size++
	c.size++
	c.wait(p)
	return p, loser
}

// full tells whether a newcomer needs another's place, and whose it could be.
func (c *crowd) full(from netip.Prefix) (full bool, oldest *list.Element) {
	if o := c.origins[from]; o != nil && c.perOrigin > 0 && o.size >= c.perOrigin {
		return true, o.waiting.Front()
	}
	if c.most == 0 || c.size < c.most {
		return false, nil
	}
	if c.top == 0 {
		return true, nil
	}
	heaviest := c.ranks[c.top].Front().Value.(*crowdOrigin)
	return true, heaviest.waiting.Front()
}

// join finds the newcomer's origin. Who comes from nobody knows where is one by
// itself, for it must not answer for others.
func (c *crowd) join(from netip.Prefix) *crowdOrigin {
	o := c.origins[from]
	if o == nil {
		o = &crowdOrigin{prefix: from}
	}
	if from.IsValid() {
		if c.origins == nil {
			c.origins = make(map[netip.Prefix]*crowdOrigin)
		}
		c.origins[from] = o
	}
	return o
}

// work keeps the place from being taken while gprxy does what takes time.
func (p *place) work() {
	if p.crowd == nil {
		return
	}
	p.crowd.mu.Lock()
	defer p.crowd.mu.Unlock()
	p.crowd.stopWaiting(p)
}

// wait undoes work: it is the client's turn.
func (p *place) wait() {
	if p.crowd == nil {
		return
	}
	p.crowd.mu.Lock()
	defer p.crowd.mu.Unlock()
	if p.origin != nil && p.waiting == nil {
		p.crowd.wait(p)
	}
}

// held tells whether it was neither left nor taken.
func (p *place) held() bool {
	if p.crowd == nil {
		return false
	}
	p.crowd.mu.Lock()
	defer p.crowd.mu.Unlock()
	return p.origin != nil
}

// leave gives the place up. It may be called again.
func (p *place) leave() {
	if p.crowd == nil {
		return
	}
	p.crowd.mu.Lock()
	defer p.crowd.mu.Unlock()
	p.crowd.remove(p)
}

// The rest is called with mu held.

func (c *crowd) wait(p *place) {
	p.waiting = p.origin.waiting.PushBack(p)
	c.rank(p.origin, p.origin.waiting.Len()-1)
}

func (c *crowd) stopWaiting(p *place) {
	if p.waiting == nil {
		return
	}
	p.origin.waiting.Remove(p.waiting)
	p.waiting = nil
	c.rank(p.origin, p.origin.waiting.Len()+1)
}

func (c *crowd) remove(p *place) {
	if p.origin == nil {
		return
	}
	c.stopWaiting(p)
	c.size--
	if p.origin.size--; p.origin.size == 0 {
		delete(c.origins, p.origin.prefix)
	}
	p.origin = nil
}

// rank moves an origin from rank old, 0 for none, to its new one, at the cost of
// one step however many there are.
func (c *crowd) rank(o *crowdOrigin, old int) {
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
