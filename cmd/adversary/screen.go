// How a campaign shows how far it has come: on a terminal all the time, elsewhere now and then.
package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"
)

type screen struct {
	out      *os.File
	terminal bool
	shown    time.Time
}

func newScreen(out *os.File) *screen {
	return &screen{out: out, terminal: term.IsTerminal(int(out.Fd())), shown: time.Now()}
}

func (s *screen) note(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// progress shows a line that is written over on a terminal, and every half a minute elsewhere.
func (s *screen) progress(t *tally) {
	every, end := 30*time.Second, "\n"
	if s.terminal {
		every, end = 100*time.Millisecond, "\x1b[K\r"
	}
	if time.Since(s.shown) < every {
		return
	}
	s.shown = time.Now()
	fmt.Fprintf(s.out, "%s%s", t, end)
}

// clear removes the line.
func (s *screen) clear() {
	if s.terminal {
		fmt.Fprint(s.out, "\x1b[K")
	}
}
