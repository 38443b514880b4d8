package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	fewRandom = 6 // conversations of each lane beside the scripts
	// The same conversations each time: what fails here was changed by who sees it fail. `make adversary` takes others.
	seed = 17474268209426939932
)

// Random conversations of hostile clients, and those with a name: the two logs agree, the next person finds nothing, the bytes
// are PostgreSQL's. `make adversary` is the long form.
func TestAdversary(t *testing.T) {
	for turn, major := range versions {
		name := fmt.Sprint(major)
		if major == installed {
			name = "installed"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := openScene(t.Context(), major, 2, os.Stderr)
			t.Cleanup(func() {
				if err := s.close(); err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if major == installed {
				canaryCanSee(t, s.lanes[0])
			}
			for i, l := range s.lanes {
				strict := i == 1
				t.Run(fmt.Sprintf("strict %v", strict), func(t *testing.T) {
					t.Parallel()
					playFew(t, l, strict, turn+i)
				})
			}
		})
	}
}

// playFew plays every second script, others in the other lane and on the next version, and some random conversations.
func playFew(t *testing.T, l *lane, strict bool, turn int) {
	var all []conversation
	for i, s := range scripts {
		if (i+turn)%2 == 0 {
			all = append(all, s.play())
		}
	}
	for n := range uint64(fewRandom) {
		all = append(all, generate(seed, uint64(turn)*fewRandom+n))
	}
	count := &tally{began: time.Now()}
	found, err := l.judged(t.Context(), strict, all, count, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(count)
	if count.compared.Load() == 0 {
		t.Error("nothing was compared")
	}
	if len(found) > 0 {
		var b strings.Builder
		report(&b, l.major, seed, found)
		t.Error(b.String())
	}
}
