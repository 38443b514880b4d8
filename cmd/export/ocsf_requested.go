// Whom and what the clients of recent sessions asked for.

package export

import (
	"encoding/json"
	"fmt"

	"gprxy/store"
)

// requested is what the startup packets of the latest sessions named. The events that follow soon belong to them.
type requested struct {
	of     map[string]store.SessionConnected
	latest []string // sessions, in a ring
	next   int
}

const requestedKept = 4096

func (r *requested) note(e store.Record) error {
	var f store.SessionConnected
	if err := json.Unmarshal(e.Detail, &f); err != nil {
		return fmt.Errorf("read %s: %w", e.Type, err)
	}
	if r.of == nil {
		r.of, r.latest = make(map[string]store.SessionConnected), make([]string, requestedKept)
	}
	delete(r.of, r.latest[r.next])
	r.of[e.Session], r.latest[r.next] = f, e.Session
	r.next = (r.next + 1) % requestedKept
	return nil
}

// requestedIn tells what the client asked for, which is all that is known of one who failed.
func (o *ocsfEvent) requestedIn(r *requested, session string) {
	f, known := r.of[session]
	if !known {
		return
	}
	o.unmapped().RequestedUser, o.unmapped().ApplicationName = f.RequestedUser, f.ApplicationName
}
