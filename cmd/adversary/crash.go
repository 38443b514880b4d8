// Crashes of PostgreSQL itself: some of what hostile clients may send makes it use memory that it has freed, an Execute of a portal
// whose transaction has failed for one. Then all its sessions end and its log tells less than happened. Such a round is played
// again without the conversation that did it.
package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

const mostCrashes = 30 // of one round

// crashed is what PostgreSQL logs of a crash and of the recovery from it: each round that met either is to be played again.
var crashed = regexp.MustCompile(`(?:was terminated by signal|server processes terminated; reinit|database system was interrupted|` +
	`database system is (?:in recovery mode|not yet accepting connections|ready to accept connections))[^\n]*`)

// awaitRecovery looks whether PostgreSQL crashed since an offset of its log, waits until it is up again, and tells what it said
// of it; "" is no crash.
func (s *scene) awaitRecovery(ctx context.Context, offset int64) (string, error) {
	text, err := readFrom(s.log, offset)
	if err != nil {
		return "", fmt.Errorf("read PostgreSQL's log: %w", err)
	}
	crash := crashed.FindString(text)
	for deadline := time.Now().Add(backendsLimit); crash != ""; {
		err := s.postgres.Exec(ctx, "select 1")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			return crash, err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return crash, nil
}

// judged plays a round until PostgreSQL lives through it, and counts that one.
func (l *lane) judged(ctx context.Context, strict bool, all []conversation, t *tally, note func(format string, args ...any)) ([]finding,
	error) {
	for range mostCrashes {
		offset, err := l.told()
		if err != nil {
			return nil, err
		}
		var one tally
		found, err := l.round(ctx, strict, all, &one)
		crash, crashErr := l.awaitRecovery(ctx, offset)
		if crash == "" || crashErr != nil || ctx.Err() != nil {
			t.add(&one)
			return found, errors.Join(err, crashErr)
		}
		t.crashes.Add(1)
		note("PostgreSQL itself crashed, and the round is played again: %s", crash)
		all = withoutCulprit(all, crash, l.playing)
	}
	return nil, fmt.Errorf("PostgreSQL crashed in %d plays of one round", mostCrashes)
}

// withoutCulprit leaves out the conversation whose statement the server process ran that was killed. Where that is not told,
// because it ran none, it may be the one that this lane was playing.
func withoutCulprit(all []conversation, crash, playing string) []conversation {
	culprit := playing
	if actor, _, ok := markOf(crash); ok {
		culprit = strings.TrimRight(actor, "0123456789")
		culprit = strings.TrimSuffix(culprit, "x")
	}
	return slices.DeleteFunc(slices.Clone(all), func(c conversation) bool { return c.name == culprit })
}

// hasCrashed looks for a crash since an offset of the log, and returns where to look from the next time.
func (s *scene) hasCrashed(offset int64) (crash bool, next int64, err error) {
	text, err := readFrom(s.log, offset)
	if err != nil {
		return false, offset, fmt.Errorf("read PostgreSQL's log: %w", err)
	}
	return crashed.MatchString(text), offset + int64(strings.LastIndexByte(text, '\n')+1), nil
}
