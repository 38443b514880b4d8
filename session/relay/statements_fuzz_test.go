package relay

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"gprxy/pool/wire"
	"gprxy/store"
)

// listen gives a conversation whose statements are recorded into got.
func listen(record RecordStatements, strict bool) (c *conversation, got *[]store.Statement) {
	c, got = &conversation{status: wire.TxIdle}, new([]store.Statement)
	var mu sync.Mutex
	c.record = &statements{
		config:  Statements{Record: record, Strict: strict, MaxText: 100},
		done:    newRowBuffer(&mu, func(done []store.Statement) { *got = append(*got, done...) }),
		cancels: func() int64 { return 0 },
		conv:    c,
		names:   names{conv: c},
	}
	return c, got
}

// Whatever both sides say, in whatever pieces, the record of it neither panics nor makes
// up statements: there are no more than were asked for.
func FuzzStatements(f *testing.F) {
	q := func(kind byte, body string) string {
		return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))) + body
	}
	f.Add(q('Q', "select 1; select 2\x00"), q('C', "SELECT 1\x00")+q('C', "SELECT 1\x00")+q('Z', "I"), uint8(3), false)
	f.Add(q('P', "s\x00select $1\x00\x00\x01\x00\x00\x00\x17")+q('B',
		"p\x00s\x00\x00\x01\x00\x01\x00\x01\x00\x00\x00\x04\x00\x00\x00\x07\x00\x00")+q('E', "p\x00\x00\x00\x00\x00")+q('S', ""),
		q('1', "")+q('2', "")+q('C', "SELECT 1\x00")+q('Z', "I"), uint8(9), true)
	f.Add(q('P', "\x00select\x00\x00\x00")+q('B', "\x00\x00\x00\x00\x00\x00\x00\x00")+q('E', "\x00\x00\x00\x00\x00")+q('S', ""),
		q('E', "SERROR\x00C42601\x00Mno\x00\x00")+q('Z', "I"), uint8(255), true)
	f.Add(q('Q', "copy t from stdin\x00")+q('d', "1\n")+q('c', ""), q('G', "\x00\x00\x01\x00\x00")+q('C', "COPY 1\x00")+q('Z', "T"), uint8(4),
		false)
	f.Add(q('F', "\x00\x00\x00\x07\x00\x00\x00\x01\x00\x00\x00\x01x\x00\x00"), q('V', "\xff\xff\xff\xff")+q('Z', "I"), uint8(7), true)
	f.Add(q('C', "Ss\x00")+q('Q', "deallocate s\x00")+q('D', "Ss\x00"), q('3', "")+q('C', "DEALLOCATE\x00")+q('t',
		"\x00\x01\x00\x00\x00\x17"), uint8(5), false)
	f.Fuzz(func(t *testing.T, up, down string, step uint8, strict bool) {
		c, got := listen(RecordParams, strict)
		var u, d wire.Walker
		size := int(step) + 1
		for at := 0; at < max(len(up), len(down)); at += size {
			if at < len(up) {
				c.record.chunkBegins()
				u.Walk([]byte(up[at:min(at+size, len(up))]), wire.Terminate, clientFrames{c})
			}
			if at < len(down) {
				c.record.chunkBegins()
				d.Walk([]byte(down[at:min(at+size, len(down))]), 0, backendFrames{c})
			}
		}
		c.record.end()
		c.record.done.close()
		asked := int64(0)
		for _, s := range *got {
			if s.US < 0 || s.Kind == "" || s.Part < 0 {
				t.Errorf("%+v", s)
			}
			if s.Part <= 1 || s.Kind != store.KindSimple {
				asked++
			}
		}
		// A Parse that failed has a row, too; a frame has at least five bytes.
		if most := int64(len(up)/wire.HeaderSize + len(down)/wire.HeaderSize + 1); asked > most {
			t.Errorf("%d statements of %d messages", asked, most)
		}
	})
}

// Values come from strangers: none makes gprxy panic, hang, or take memory for what is
// not there.
func FuzzBoundValues(f *testing.F) {
	for _, oid := range slices.Concat([]uint32{pgtype.JSONBOID}, plainTypes, binaryTypes, slices.Sorted(maps.Keys(arrayElements))) {
		f.Add(oid, "\x00\x01\x00\x01\x00\x01\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x07", true)
		f.Add(oid, "\x00\x00\x00\x02\xff\xff\xff\xff\x00\x00\x00\x01x", false)
	}
	f.Add(uint32(pgtype.Int4ArrayOID),
		"\x00\x01\x00\x01\x00\x01\x00\x00\x00\x14\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x17\x7f\xff\xff\xff\x00\x00\x00\x01", true)
	f.Fuzz(func(t *testing.T, oid uint32, body string, whole bool) {
		c, _ := listen(RecordParams, false)
		params := c.record.boundValues(&prepared{types: []uint32{oid, oid, oid}}, []byte(body), whole)
		if len(params) > len(body)/4+2 {
			t.Errorf("%d values in %d bytes", len(params), len(body))
		}
		for _, p := range params {
			if len(p.Text) > 100*len(body)+10_000 {
				t.Errorf("%d bytes of text from %d", len(p.Text), len(body))
			}
		}
	})
}

// A row buffer hands over within its time, and by itself.
func TestABlockHandsOverInTime(t *testing.T) {
	var mu sync.Mutex
	handed := make(chan time.Time, 1)
	b := newRowBuffer(&mu, func([]store.Statement) { handed <- time.Now() })
	defer b.close()
	mu.Lock()
	began := time.Now()
	b.add(&store.Statement{Kind: store.KindSimple})
	mu.Unlock()
	select {
	case at := <-handed:
		if took := at.Sub(began); took > 20*handOver {
			t.Errorf("handed over after %v", took)
		}
	case <-time.After(time.Minute):
		t.Fatal("it was never handed over")
	}
	if handOver >= store.AsyncWindow {
		t.Error("the window is over before the log has the statement")
	}
}

// A beat that comes right behind a statement of a batch leaves it: the error of a commit is still to be put on its row.
func TestABeatLeavesWhatMayStillFail(t *testing.T) {
	var mu sync.Mutex
	var handed [][]store.Statement
	b := newRowBuffer(&mu, func(done []store.Statement) { handed = append(handed, done) })
	mu.Lock()
	b.add(&store.Statement{SQL: "done"})
	b.addOpen(&store.Statement{SQL: "may fail"}, time.Now().Add(time.Hour))
	b.add(&store.Statement{SQL: "prepared behind it"})
	stopped := b.timer.Stop() // the beat is made by hand
	mu.Unlock()
	if !stopped {
		b.armed.Add(1) // it came by itself already: one more is the same
	}
	b.onTimer()
	mu.Lock()
	if len(handed) != 1 || len(handed[0]) != 1 || handed[0][0].SQL != "done" {
		t.Errorf("handed over: %+v", handed)
	}
	pending := b.pending()
	if len(pending) != 2 || pending[0].SQL != "may fail" {
		t.Fatalf("pending: %+v", pending)
	}
	pending[0].SQLState = "23505"
	mu.Unlock()
	b.close()
	if len(handed) != 2 || len(handed[1]) != 2 || handed[1][0].SQLState != "23505" {
		t.Errorf("handed over at the end: %+v", handed)
	}
}

// What stands for a statement is let go, or a session would hold all it ever bound.
func TestConfirmedMessagesAreLetGo(t *testing.T) {
	c, _ := listen(RecordText, false)
	var u, d wire.Walker
	round := []byte("B\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00E\x00\x00\x00\x09\x00\x00\x00\x00\x00S\x00\x00\x00\x04")
	answer := "2\x00\x00\x00\x04C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05"
	in := func(status string) {
		u.Walk(round, 0, clientFrames{c})
		d.Walk([]byte(answer+status), 0, backendFrames{c})
	}
	for range 100 {
		in("T")
	}
	if !c.idle() || c.record.names.portal == nil {
		t.Fatalf("not idle, or nothing was bound: %+v", c)
	}
	if before := c.record.names.portal.bindBefore; before != nil {
		t.Error("a Bind holds the one before it")
	}
	if c.statements != 100 || len(c.owed.all) > math.MaxInt8 {
		t.Errorf("%d statements, %d owed", c.statements, len(c.owed.all))
	}
	if in("I"); c.record.names.portal != nil || len(c.record.spare) == 0 {
		t.Error("a Bind outlives its transaction")
	}
	c.record.done.close()
}

// Syncs leave no record, but an error looks at them too.
func TestSyncsSentAheadAreBounded(t *testing.T) {
	c, _ := listen(RecordText, false)
	var u, d wire.Walker
	for n := 0; !c.crowded(); n++ {
		if u.Walk([]byte("S\x00\x00\x00\x04"), 0, clientFrames{c}); n > 2*tooManyRequests {
			t.Fatal("there is no bound")
		}
	}
	if d.Walk([]byte("Z\x00\x00\x00\x05I"), 0, backendFrames{c}); c.crowded() {
		t.Error("an answer makes no room")
	}
	c.record.done.close()
}
