package relay

import (
	"fmt"
	"testing"

	"gprxy/pool/wire"
	"gprxy/store"
)

// BenchmarkRecord is what is seen and recorded of one prepared statement that is run,
// without sockets; its row goes to a real log.
func BenchmarkRecord(b *testing.B) {
	for _, what := range []struct {
		name string
		kind RecordStatements
	}{{"off", RecordNothing}, {"text", RecordText}, {"params", RecordParams}} {
		b.Run(what.name, func(b *testing.B) {
			r := &Relay{}
			conv := &r.conversation
			conv.status = wire.TxIdle
			if what.kind != RecordNothing {
				log, err := store.Open(b.Context(), b.TempDir()+"/events.db", store.Options{})
				if err != nil {
					b.Fatal(err)
				}
				defer log.Close(b.Context())
				rec := &recording{events: log, session: "0199aabb-0000-7000-8000-000000000001"}
				rec.statements = &statements{
					config: Statements{Record: what.kind, MaxText: 1 << 20}, done: newRowBuffer(&conv.mu, rec.deliver),
					cancels: func() int64 { return 0 }, conv: conv, names: names{conv: conv},
				}
				rec.ctx = b.Context()
				conv.record, r.recording = rec.statements, rec
			}
			ask := func(request, answer string) func() {
				up, down := []byte(request), []byte(answer)
				return func() {
					if err := r.recording.awaitRoom(); err != nil {
						b.Fatal(err)
					}
					if _, err := r.seeRequests(up); err != nil {
						b.Fatal(err)
					}
					if err := r.recording.announce(); err != nil {
						b.Fatal(err)
					}
					r.seeReplies(down)
				}
			}
			ask(frame('P', "P_0\x00SELECT abalance FROM pgbench_accounts WHERE aid = $1;\x00\x00\x00")+frame('S', ""),
				frame('1', "")+frame('Z', "I"))()
			run := ask(frame('B', "\x00P_0\x00\x00\x00\x00\x01\x00\x00\x00\x0554321\x00\x01\x00\x00")+frame('D', "P\x00")+frame('E',
				"\x00\x00\x00\x00\x00")+frame('S', ""),
				frame('2', "")+frame('T', "\x00\x01abalance\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17\x00\x04\xff\xff\xff\xff\x00\x00")+
					frame('D', "\x00\x01\x00\x00\x00\x010")+frame('C', "SELECT 1\x00")+frame('Z', "I"))
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
			if conv.doubt != "" {
				b.Fatal(fmt.Sprint("in doubt: ", conv.doubt))
			}
		})
	}
}
