// Whom and what the clients of recent sessions asked for.

package cmd

import (
	"encoding/json"
	"fmt"

	"gprxy/store"
)

// wishes are what the latest sessions came with: whom and what the startup packet named. They belong to
// events that follow soon.
type wishes struct {
	of     map[string]store.SessionConnected
	latest []string // sessions, in a ring
	next   int
}

const wishesKept = 4096

func (w *wishes) note(e store.Record) error {
	var f store.SessionConnected
	if err := json.Unmarshal(e.Detail, &f); err != nil {
		return fmt.Errorf("read %s: %w", e.Type, err)
	}
	if w.of == nil {
		w.of, w.latest = make(map[string]store.SessionConnected), make([]string, wishesKept)
	}
	delete(w.of, w.latest[w.next])
	w.of[e.Session], w.latest[w.next] = f, e.Session
	w.next = (w.next + 1) % wishesKept
	return nil
}

// wished tells what the client asked for, which is all that is known of one who failed.
func (o *ocsfEvent) wished(w *wishes, session string) {
	f, known := w.of[session]
	if !known {
		return
	}
	o.unmapped().RequestedUser, o.unmapped().ApplicationName = f.RequestedUser, f.ApplicationName
}
