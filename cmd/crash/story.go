// What the event log tells of the sessions of a round.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"gprxy/store"
)

// story is one session as its events tell it, in their order.
type story struct {
	id    string
	types []string // of its events, cancels left out

	connected store.SessionConnected
	succeeded store.AuthSucceeded
	mapped    store.RoleMapped
	started   store.SessionStarted
	refused   store.SessionRefused
	ended     store.SessionEnded
	cancels   int

	ran       []store.Statement // statement.executed
	announced []store.Statement // statement.started
}

// logged is what the log tells of a round.
type logged struct {
	stories map[string][]*story // by the client's address
	gaps    int                 // log.gap events
	last    int64               // seq
}

// The lives a session may have, and how each ends.
var lives = [][]string{
	{"session.connected", "auth.succeeded", "role.mapped", "session.started", "session.ended"},
	{"session.connected", "auth.succeeded", "role.mapped", "session.refused"},
	{"session.connected", "auth.succeeded", "role.mapped", "session.ended"},
	{"session.connected", "auth.succeeded", "role.mapped", "session.started", "session.refused"},
	{"session.connected", "auth.succeeded", "role.denied", "session.refused"},
	{"session.connected", "auth.succeeded", "role.denied", "session.ended"}, // killed between the two
	{"session.connected", "auth.failed", "session.refused"},
	{"session.connected", "session.refused"},
	{"session.connected", "session.ended"},
}

func (s *story) lived() bool {
	return slices.ContainsFunc(lives, func(l []string) bool { return slices.Equal(l, s.types) })
}

func (s *story) add(r store.Record) error {
	facts := map[string]any{
		"session.connected": &s.connected,
		"auth.succeeded":    &s.succeeded,
		"role.mapped":       &s.mapped,
		"session.started":   &s.started,
		"session.refused":   &s.refused,
		"session.ended":     &s.ended,
	}
	switch r.Type {
	case "statement.executed":
		return addStatement(&s.ran, r)
	case "statement.started":
		return addStatement(&s.announced, r)
	}
	if r.Type == "cancel.forwarded" || r.Type == "cancel.rejected" {
		s.cancels++
		return nil
	}
	// A backend that proves dead is followed by another; the last one served.
	if again := r.Type == "session.started" && slices.Contains(s.types, r.Type); !again {
		s.types = append(s.types, r.Type)
	}
	if fact, wanted := facts[r.Type]; wanted {
		if err := json.Unmarshal(r.Detail, fact); err != nil {
			return fmt.Errorf("read event %d: %w", r.Seq, err)
		}
	}
	return nil
}

func addStatement(to *[]store.Statement, r store.Record) error {
	var s store.Statement
	if err := json.Unmarshal(r.Detail, &s); err != nil {
		return fmt.Errorf("read event %d: %w", r.Seq, err)
	}
	*to = append(*to, s)
	return nil
}

// readStories reads what stands in the log after seq.
func readStories(ctx context.Context, path string, after int64) (l logged, err error) {
	log, err := store.OpenReader(ctx, path)
	if err != nil {
		return l, err
	}
	defer log.Close()
	byID := map[string]*story{}
	l.last = after
	for r, err := range log.Events(ctx, store.EventFilter{AfterSeq: after}) {
		if err != nil {
			return l, err
		}
		l.last = r.Seq
		if r.Type == (store.LogGap{}).Type() {
			l.gaps++
		}
		if r.Session == "" {
			continue
		}
		if byID[r.Session] == nil {
			byID[r.Session] = &story{id: r.Session}
		}
		if err := byID[r.Session].add(r); err != nil {
			return l, err
		}
	}
	l.stories = map[string][]*story{}
	for _, s := range byID {
		l.stories[s.connected.Client] = append(l.stories[s.connected.Client], s)
	}
	return l, nil
}

// checkRebuild folds the whole log anew and compares the sessions with what was there. It gives the number of events.
func checkRebuild(ctx context.Context, path string) (int64, error) {
	before, _, err := readSessions(ctx, path)
	if err != nil {
		return 0, err
	}
	log, err := store.Open(ctx, path, store.Options{})
	if err != nil {
		return 0, err
	}
	err = log.Rebuild(ctx)
	if closeErr := log.Close(ctx); err == nil {
		err = closeErr
	}
	if err != nil {
		return 0, err
	}
	after, events, err := readSessions(ctx, path)
	if err == nil && !slices.Equal(before, after) {
		err = fmt.Errorf("the sessions of %s are not what its events give: %d before, %d after they were folded anew", path, len(before),
			len(after))
	}
	return events, err
}

// readSessions gives the sessions of a log as JSON, and the number of its events, all verified.
func readSessions(ctx context.Context, path string) (lines []string, events int64, err error) {
	log, err := store.OpenReader(ctx, path)
	if err != nil {
		return nil, 0, err
	}
	defer log.Close()
	head, err := log.Verify(ctx, nil)
	if err != nil {
		return nil, 0, err
	}
	for s, err := range log.Sessions(ctx, store.SessionFilter{}) {
		if err != nil {
			return nil, 0, err
		}
		line, err := json.Marshal(s)
		if err != nil {
			return nil, 0, err
		}
		lines = append(lines, string(line))
	}
	return lines, head.Events, nil
}
