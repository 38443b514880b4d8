// The hash of docs/audit.md, pinned.

package store

import (
	"encoding/hex"
	"testing"
)

func TestHashesArePinned(t *testing.T) {
	first, _ := digest(nil, 1, 1772357400123456, "proxy.stopped", "", `{"reason":"signal"}`)
	one := link(hash{}, first)
	second, _ := digest(nil, 2, 1772357400123457, "session.ended", "0000000000000001", `{}`)
	two := link(one, second)
	// Made with Python's hashlib from docs/audit.md.
	for _, tc := range []struct{ got, want string }{
		{hex.EncodeToString(one[:]), "ac69bb90f7d5922c91d8389cf8ee0e46a3fb5409892bb4e4717e5de8276b2ffd"},
		{hex.EncodeToString(two[:]), "0cfedc4c77d3392ec13d3ebdb3f65325ae6f9631b27c4e842629e5a3c4f384a5"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
}
