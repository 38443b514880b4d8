// A campaign: lanes that play rounds until the time is over, and what is made of their findings.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	perRound    = 25 // conversations on one gprxy and event log
	mostReduced = 60 // plays to make a finding shorter
	mostFound   = 20 // findings after which a campaign ends
)

// plan is what a campaign is to do.
type plan struct {
	lasts time.Duration
	seed  uint64
	lanes int
	major int
	only  string
}

// campaign is one run of the plan.
type campaign struct {
	plan
	*tally
	screen *screen
	next   atomic.Uint64 // number of the next conversation

	mu    sync.Mutex // guards the rest
	found []finding
	err   error
}

// run plays, reports and shortens what was found. Contradictions are an error.
func (p plan) run(ctx context.Context, s *screen) (err error) {
	scene, err := openScene(ctx, p.major, p.lanes, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scene.close()) }()
	p.major = scene.major
	s.note("PostgreSQL %d, seed %d", p.major, p.seed)
	c := &campaign{plan: p, screen: s, tally: &tally{began: time.Now()}}
	var lanes sync.WaitGroup
	for i, l := range scene.lanes {
		lanes.Go(func() { c.keepPlaying(ctx, l, i%2 == 1) })
	}
	lanes.Wait()
	s.clear()
	if c.err != nil {
		return fmt.Errorf("%w\nthe same choices again: make adversary SEED=%d V=%d", c.err, p.seed, p.major)
	}
	s.note("PostgreSQL %d: %s", p.major, c.tally)
	if len(c.found) == 0 {
		return nil
	}
	report(s.out, p.major, p.seed, c.found)
	s.note("the first of them, as short as it could be made:\n%s", scene.lanes[0].reduce(ctx, c.found[0]))
	return fmt.Errorf("%d contradictions", len(c.found))
}

// keepPlaying plays rounds until the time is over or somebody has failed.
func (c *campaign) keepPlaying(ctx context.Context, l *lane, strict bool) {
	for ctx.Err() == nil && time.Since(c.began) < c.lasts && c.goesOn() {
		found, err := l.judged(ctx, strict, c.conversations(), c.tally, c.screen.note)
		c.mu.Lock()
		c.found = append(c.found, found...)
		c.tally.findings.Store(int64(len(c.found)))
		c.err = errors.Join(c.err, err)
		c.screen.progress(c.tally)
		c.mu.Unlock()
	}
}

func (c *campaign) goesOn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil && len(c.found) < mostFound
}

// conversations are those of one round.
func (c *campaign) conversations() (all []conversation) {
	if c.only != "" {
		return []conversation{c.named(c.only)}
	}
	if c.next.Load() == 0 {
		for _, s := range scripts {
			all = append(all, s.play())
		}
	}
	for range perRound {
		all = append(all, generate(c.seed, c.next.Add(1)))
	}
	return all
}

// named is a script, or a random conversation by its number.
func (c *campaign) named(name string) conversation {
	for _, s := range scripts {
		if s.name == name {
			return s.play()
		}
	}
	n, _ := strconv.ParseUint(strings.TrimPrefix(name, "g"), 10, 64)
	return generate(c.seed, n)
}

// reduce leaves steps out of a finding as long as something is found still, and returns what is left.
func (l *lane) reduce(ctx context.Context, f finding) string {
	last := f
	if f.conversation.name == nobody {
		return f.what
	}
	plays := 0
	again := func(c conversation) bool {
		plays++
		found, err := l.round(ctx, c.strict, []conversation{c}, &tally{})
		if err != nil || len(found) == 0 {
			return false
		}
		last = found[0]
		return true
	}
	if !again(f.conversation) {
		return "it was not found again alone: " + f.what
	}
	for shorter := true; shorter && ctx.Err() == nil; {
		shorter = false
		for i := range f.conversation.actors {
			for at := 0; at < len(f.conversation.actors[i].steps) && plays < mostReduced; {
				if try := f.conversation.without(i, at); again(try) {
					f.conversation, shorter = try, true
				} else {
					at++
				}
			}
		}
	}
	return last.what + "\n" + f.conversation.script()
}

// without leaves one step out.
func (c conversation) without(actor, step int) conversation {
	c.actors = slices.Clone(c.actors)
	c.actors[actor].steps = slices.Delete(slices.Clone(c.actors[actor].steps), step, step+1)
	return c
}
