// What an actor of a conversation does, step by step, and how a step is written down for people.
package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// A step is one act. Only one of the first group is set.
type step struct {
	send   string        // bytes, in one write
	pause  time.Duration // for a timeout of PostgreSQL's to run out
	await  byte          // a message of this type, one that was not awaited yet
	cancel bool          // a cancel request with the session's key, to its end

	fast bool // of await: go on without it after a moment, where it is not certain that it comes
}

func say(parts ...string) step         { return step{send: strings.Join(parts, "")} }
func wait(d time.Duration) step        { return step{pause: d} }
func await(kind byte) step             { return step{await: kind} }
func awaitMaybe(kind byte) step        { return step{await: kind, fast: true} }
func cancelling() step                 { return step{cancel: true} }
func steps(all ...step) []step         { return all }
func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// The ways in which an actor leaves.
const (
	leaveTerminate = "terminate"  // says goodbye and waits for the end
	leaveHalf      = "half-close" // says nothing more, and reads on
	leaveClose     = "close"      // is gone, with whatever is unread
	leaveReset     = "reset"      // is gone, and its kernel says so
	leavePartial   = "partial"    // is gone in the middle of a message
)

var leaves = []string{leaveTerminate, leaveHalf, leaveClose, leaveReset, leavePartial}

// An actor is one session. Each is the victim of the one before it.
type actor struct {
	steps   []step
	leave   string
	queries map[int]bool // of its pen
}

// A conversation is played on one backend, one actor after the other; behind the last comes the victim.
type conversation struct {
	name   string // which every text of it carries
	actors []actor
	mirror bool // the bytes are to be those of a direct session
	strict bool
}

// mark makes the texts of an actor known: "@" is where the mark of text number n comes.
func mark(sql, actor string, n int) string {
	return strings.ReplaceAll(sql, "@", fmt.Sprintf("/*%s.%d*/", actor, n))
}

// script is a conversation for people, one line a step.
func (c conversation) script() string {
	var b strings.Builder
	fmt.Fprintf(&b, "conversation %s", c.name)
	if c.strict {
		b.WriteString(" (strict)")
	}
	b.WriteString("\n")
	for i, a := range c.actors {
		fmt.Fprintf(&b, "  actor %d\n", i)
		for _, s := range a.steps {
			fmt.Fprintf(&b, "    %s\n", s)
		}
		fmt.Fprintf(&b, "    leave by %s\n", a.leave)
	}
	return b.String()
}

func (s step) String() string {
	switch {
	case s.pause > 0:
		return fmt.Sprintf("pause %v", s.pause)
	case s.cancel:
		return "cancel"
	case s.await != 0 && s.fast:
		return fmt.Sprintf("await %c, if it comes", s.await)
	case s.await != 0:
		return fmt.Sprintf("await %c", s.await)
	}
	return "> " + tellFrames(s.send)
}

// tellFrames writes messages as their type and body. Equal neighbours are counted.
func tellFrames(stream string) string {
	var all []string
	last, times := "", 0
	end := func() {
		if times > 1 {
			last = fmt.Sprintf("%d x %s", times, last)
		}
		if times > 0 {
			all = append(all, last)
		}
	}
	for len(stream) > 0 {
		size := len(stream)
		if len(stream) >= 5 {
			if n := uint64(binary.BigEndian.Uint32([]byte(stream[1:5]))) + 1; n >= 5 && n <= uint64(size) {
				size = int(n)
			}
		}
		told := fmt.Sprintf("raw %q", stream[:size])
		if size >= 5 && uint64(binary.BigEndian.Uint32([]byte(stream[1:5])))+1 == uint64(size) {
			told = string(stream[0])
			if size > 5 {
				told += " " + shorten(fmt.Sprintf("%q", stream[5:size]))
			}
		}
		stream = stream[size:]
		if told == last {
			times++
			continue
		}
		end()
		last, times = told, 1
	}
	end()
	return strings.Join(all, ", ")
}

func shorten(text string) string {
	const shown = 300
	if len(text) > shown {
		return fmt.Sprintf("%s... (%d bytes)", text[:shown], len(text))
	}
	return text
}
