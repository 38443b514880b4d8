package admission

import (
	"testing"
	"time"
)

// How many people may be waited for at once, in all and for one address, and when a place is free again.
func TestPlacesAtTheBrowser(t *testing.T) {
	const a, b, c = "192.0.2.1", "192.0.2.2", ""
	for _, test := range []struct {
		name   string
		most   int
		in     []string // origins that have a place
		left   int      // how many of them have left
		passed time.Duration
		from   string
		ok     bool
	}{
		{"the first", 8, nil, 0, 0, a, true},
		{"the second of an address", 8, []string{a}, 0, 0, a, true},
		{"more than its share", 8, []string{a, a}, 0, 0, a, false},
		{"another address", 8, []string{a, a}, 0, 0, b, true},
		{"each has a share", 2, []string{b}, 0, 0, a, true},
		{"more than there are", 2, []string{a, b}, 0, 0, "192.0.2.3", false},
		{"strangers of unknown origin have no share", 8, []string{c, c, c}, 0, 0, c, true},
		{"but places are all there are", 3, []string{c, c, c}, 0, 0, c, false},
		{"a place that was just left", 8, []string{a, a}, 1, devicePlaceTime - time.Millisecond, a, false},
		{"a place that was left a while ago", 8, []string{a, a}, 1, devicePlaceTime, a, true},
		{"a place of another that was just left", 2, []string{a, b}, 2, 0, "192.0.2.3", false},
		{"places that were left a while ago", 2, []string{a, b}, 2, devicePlaceTime, "192.0.2.3", true},
		{"a place that was not left", 8, []string{a, a}, 0, time.Hour, a, false},
		{"off", 0, nil, 0, 0, a, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d DeviceSlots
			now := time.Now()
			var leave []func()
			for _, address := range test.in {
				l, ok := d.Enter(from(address), test.most, now)
				if !ok {
					t.Fatalf("%q has no place", address)
				}
				leave = append(leave, l)
			}
			for _, l := range leave[:test.left] {
				l()
			}
			if _, ok := d.Enter(from(test.from), test.most, now.Add(test.passed)); ok != test.ok {
				t.Errorf("there is a place: %v", ok)
			}
		})
	}
}
