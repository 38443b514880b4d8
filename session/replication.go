package session

import (
	"strings"

	"gprxy/pool"
	"gprxy/session/refusal"
	"gprxy/session/startup"
	"gprxy/store"
)

// readReplication says what the parameter replication asks for. As in PostgreSQL
// every one of them must make sense, "database" once is enough, and the last one
// says whether at all.
func readReplication(asked startup.Parameters) (pool.Replication, error) {
	on, logical := false, false
	for _, parameter := range asked {
		if parameter.Name != "replication" {
			continue
		}
		if parameter.Value == "database" {
			on, logical = true, true
			continue
		}
		var known bool
		if on, known = parseBool(parameter.Value); !known {
			return pool.NoReplication, refusal.InvalidReplication(parameter.Value)
		}
	}
	switch {
	case !on:
		return pool.NoReplication, nil
	case logical:
		return pool.LogicalReplication, nil
	default:
		return pool.PhysicalReplication, nil
	}
}

// parseBool reads what PostgreSQL takes for a truth value
// (src/backend/utils/adt/bool.c): words may be cut short as long as they differ.
func parseBool(text string) (value, known bool) {
	text = strings.ToLower(text)
	isShort := func(word string, shortest int) bool {
		return len(text) >= shortest && strings.HasPrefix(word, text)
	}
	switch {
	case text == "1", isShort("true", 1), isShort("yes", 1), isShort("on", 2):
		return true, true
	case text == "0", isShort("false", 1), isShort("no", 1), isShort("off", 2):
		return false, true
	}
	return false, false
}

// mayReplicate refuses replication where the settings do not allow it.
func (s *session) mayReplicate() error {
	if s.asked.replication == pool.NoReplication || s.handler.AllowReplication {
		return nil
	}
	return refusal.ErrReplication
}

func (s *session) replicationStarted(backend *pool.Lease) store.Fact {
	kind := "physical"
	if s.asked.replication == pool.LogicalReplication {
		kind = "logical"
	}
	return store.ReplicationStarted{Kind: kind, ServiceAccount: backend.CurrentUser(), BackendPID: backend.PID()}
}
