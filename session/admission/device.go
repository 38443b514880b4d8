package admission

import (
	"net/netip"
	"sync"
	"time"
)

// DeviceSlots bound what strangers can make gprxy ask of the issuer: how many
// logins wait at once, in all and for one address, and, by keeping a place for a
// while after its client has left, how often they begin.
type DeviceSlots struct {
	mu      sync.Mutex // guards all below
	waiting map[netip.Prefix]int
	total   int
	cooling []coolingPlace // oldest first
}

type coolingPlace struct {
	address netip.Prefix
	free    time.Time
}

const (
	// The least time a place is taken.
	devicePlaceTime = 5 * time.Second
	// The part of all places that one address may have.
	deviceShare = 4
)

// Enter takes a place for address, of most in all. leave must be called once.
func (d *DeviceSlots) Enter(address netip.Prefix, most int, now time.Time) (leave func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.cooling) > 0 && !now.Before(d.cooling[0].free) {
		d.giveBack(d.cooling[0].address)
		d.cooling = d.cooling[1:]
	}
	if d.total >= most || address.IsValid() && d.waiting[address] >= max(1, most/deviceShare) {
		return nil, false
	}
	if d.waiting == nil {
		d.waiting = make(map[netip.Prefix]int)
	}
	d.waiting[address]++
	d.total++
	return func() { d.leave(address, now.Add(devicePlaceTime)) }, true
}

func (d *DeviceSlots) leave(address netip.Prefix, free time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cooling = append(d.cooling, coolingPlace{address, free})
}

func (d *DeviceSlots) giveBack(address netip.Prefix) {
	d.total--
	if d.waiting[address]--; d.waiting[address] == 0 {
		delete(d.waiting, address)
	}
}
