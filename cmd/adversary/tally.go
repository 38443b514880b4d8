// How much was played and compared, and how a campaign shows it.
package main

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// tally is counted by all lanes.
type tally struct {
	conversations, compared, unknown, findings, crashes atomic.Int64
	began                                               time.Time
}

func (t *tally) String() string {
	text := fmt.Sprintf("%d conversations, %d statements compared, %d recorded as unknown or cut, %d contradictions, %v",
		t.conversations.Load(), t.compared.Load(), t.unknown.Load(), t.findings.Load(), time.Since(t.began).Round(time.Second))
	if n := t.crashes.Load(); n > 0 {
		text += fmt.Sprintf("; PostgreSQL itself crashed in %d rounds, which were played again", n)
	}
	return text
}

func (t *tally) add(round *tally) {
	t.conversations.Add(round.conversations.Load())
	t.compared.Add(round.compared.Load())
	t.unknown.Add(round.unknown.Load())
}

// report writes what was found.
func report(out io.Writer, major int, seed uint64, found []finding) {
	last := ""
	for _, f := range found {
		fmt.Fprintf(out, "PostgreSQL %d, %s: %s\n", major, f.conversation.name, f.what)
		if script := f.conversation.script(); script != last && f.conversation.name != nobody {
			fmt.Fprint(out, script)
			fmt.Fprintf(out, "the same choices again: make adversary SEED=%d V=%d ONLY=%s\n", seed, major, f.conversation.name)
			last = script
			for _, line := range f.told {
				fmt.Fprintf(out, "  PostgreSQL: %s\n", line)
			}
		}
	}
}
