package relay

import (
	"fmt"
	"strings"
	"testing"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/store"
)

// What was sent keeps a row of its own when the statement that would have run it was withheld: PostgreSQL never had that, and what
// it made of the rest nobody saw.
func TestWhatWasWithheldSaysNothingOfWhatWasSent(t *testing.T) {
	c, got := listen(RecordText, true)
	var u wire.Walker
	send := func(frames string) {
		c.record.chunkBegins()
		u.Walk([]byte(frames), wire.Terminate, clientFrames{c})
	}
	send(frame('P', "n\x00select $1::int\x00\x00\x00"))
	c.record.before = nil // announced
	send(frame('B', "p\x00n\x00\x00\x00\x00\x00\x00\x00") + frame('E', "p\x00\x00\x00\x00\x00"))
	for _, act := range c.record.before {
		act.withheld = true
	}
	c.record.before = nil
	c.record.end()
	c.record.done.close()
	var rows []string
	for _, s := range *got {
		rows = append(rows, fmt.Sprintf("%s %s %s %s", s.Kind, s.Outcome, s.SQLState, s.SQL))
	}
	want := []string{
		"parse " + store.OutcomeCut + "  select $1::int",
		"extended " + store.OutcomeSkipped + " " + refusal.CodeIOError + " select $1::int",
	}
	if strings.Join(rows, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
}
