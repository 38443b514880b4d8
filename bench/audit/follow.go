// How far behind the log somebody is who follows it.

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"time"

	"gprxy/store"
)

const (
	followed    = 40
	followPause = 300 * time.Millisecond // at most, from one event to the next
)

// measureFollow writes events, and measures from when each is durable to when `audit --follow` has printed it.
func measureFollow(ctx context.Context, p plan) (figures []figure, err error) {
	log, err := store.Open(ctx, p.file, store.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close(ctx)) }()
	follower := exec.CommandContext(ctx, p.binary, "audit", "--follow", "--json", "--event-log", p.file)
	printed, err := follower.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := follower.Start(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, printed.Close(), follower.Process.Kill(), ended(follower)) }()
	lines := bufio.NewScanner(printed)
	lines.Buffer(nil, 1<<20)
	var late []time.Duration
	for n := range followed + 1 {
		id := store.NewSessionID(time.Now())
		event := store.Event{Time: time.Now(), Session: id, Fact: store.SessionConnected{Client: "10.0.0.1:1", RequestedUser: "follower",
			Database: "shop", Protocol: "3.0"}}
		end := store.Event{Time: time.Now(), Session: id, Fact: store.SessionEnded{Reason: "client_terminated"}}
		if err := log.Append(ctx, event, end); err != nil {
			return nil, err
		}
		durable := time.Now()
		if err := untilLine(lines, id); err != nil {
			return nil, err
		}
		if n > 0 { // the first waits for the follower to start
			late = append(late, time.Since(durable))
		}
		pause := time.NewTimer(rand.N(followPause))
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	slices.Sort(late)
	return []figure{
		{What: "audit --follow, behind", Value: float64(late[len(late)/2].Microseconds()) / 1000, Unit: "ms", Limit: 200},
		{What: "at most", Value: float64(late[len(late)-1].Microseconds()) / 1000, Unit: "ms", Limit: 200},
	}, nil
}

func untilLine(lines *bufio.Scanner, with string) error {
	for lines.Scan() {
		if strings.Contains(lines.Text(), with) {
			return nil
		}
	}
	return fmt.Errorf("gprxy audit --follow ended: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}

// ended waits for a process that was killed.
func ended(cmd *exec.Cmd) error {
	err := cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		return nil
	}
	return err
}
