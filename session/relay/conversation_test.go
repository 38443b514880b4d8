package relay

import (
	"strings"
	"testing"

	"gprxy/pool/wire"
)

// A script is a conversation, word by word: ">" the client sends, "<" the
// backend. "<Z:I" is ReadyForQuery with its status, "<E!" a FATAL error.
func play(script string) *conversation {
	c := &conversation{status: wire.TxIdle}
	up, down := &wire.Walker{}, &wire.Walker{}
	for word := range strings.FieldsSeq(script) {
		kind := word[1]
		switch {
		case word[0] == '>':
			up.Walk([]byte(frame(kind, "")), 0, clientFrames{c})
		case kind == 'Z':
			down.Walk([]byte(frame(kind, word[3:])), 0, backendFrames{c})
		case word == "<E!":
			down.Walk([]byte(frame('E', "SFATAL\x00VFATAL\x00\x00")), 0, backendFrames{c})
		default:
			down.Walk([]byte(frame(kind, "")), 0, backendFrames{c})
		}
	}
	return c
}

func TestConversationKnowsWhatIsOwed(t *testing.T) {
	const idle, busy, doubtful = "idle", "busy", "doubtful"
	tests := []struct{ name, script, want string }{
		{"nothing said", "", idle},
		{"a query under way", ">Q <T <D", busy},
		{"a query answered", ">Q <T <D <C <Z:I", idle},
		{"two statements in one query", ">Q <T <D <C <C <Z:I", idle},
		{"a query failed", ">Q <E <Z:I", idle},
		{"queries sent ahead", ">Q >Q <C <Z:I", busy},
		{"queries sent ahead, all answered", ">Q >Q <C <Z:I <C <Z:I", idle},
		{"an empty query", ">Q <I <Z:I", idle},

		{"extended, answered", ">P >B >D >E >S <1 <2 <T <D <C <Z:I", idle},
		{"extended, not synced", ">P >B >E >H <1 <2 <C", busy},
		{"extended, synced later", ">P >B >E >H <1 <2 <C >S <Z:I", idle},
		{"describe a statement", ">P >D >S <1 <t <T <Z:I", idle},
		{"describe what gives no rows", ">P >D >S <1 <t <n <Z:I", idle},
		{"a portal in parts", ">P >B >E >H <1 <2 <D <s >E >S <D <C <Z:I", idle},
		{"close", ">C >S <3 <Z:I", idle},
		{"an error skips to the Sync", ">P >B >E >S <E <Z:I", idle},
		{"an error in the second of two", ">P >B >E >B >E >S <1 <2 <C <E <Z:I", idle},
		{"an error, more sent while skipping", ">P >H <E >B >E >Q >S <Z:I", idle},
		{"an error, no Sync yet", ">P >H <E", busy},
		{"pipelined, the first fails", ">P >B >E >S >P >B >E >S <E <Z:I <1 <2 <C <Z:I", idle},
		{"pipelined, one answered", ">P >B >E >S >P >B >E >S <1 <2 <C <Z:I", busy},
		{"an error at the Sync itself", ">P >B >E >S <1 <2 <C <E <Z:I", idle},
		{"simple after extended without Sync", ">P >B >E >Q <1 <2 <C <C <Z:I", idle},
		{"a function call", ">F <V <Z:I", idle},
		{"a function call failed", ">F <E <Z:I", idle},

		{"copy in", ">Q <G >d >d >c <C <Z:I", idle},
		{"copy in, more to come", ">Q <G >d >d", busy},
		{"copy in, ended by the client", ">Q <G >d >f <E <Z:I", idle},
		{"copy in, refused while data flows", ">Q <G >d <E <Z:I >d >c", idle},
		{"copy in sent ahead", ">Q >d >c >Q <G <C <Z:I <C <Z:I", idle},
		{"copy data nobody asked for", ">Q >d >c <C <Z:I", idle},
		{"extended copy in as libpq does it", ">P >B >D >E >S <1 <2 <n <G >d >c >S <C <Z:I", idle},
		{"extended copy in, Sync not sent yet", ">B >E >S <2 <G >d >c <C", busy},
		{"extended copy in failed after a Sync", ">B >E >S <2 <G >d <E <Z:I", doubtful},
		{"extended copy in failed without a Sync", ">B >E >H <2 <G >d <E >c >S <Z:I", idle},
		{"Syncs during copy in are ignored", ">Q <G >S >S >S >d >c <C <Z:I", idle},
		{"copy out", ">Q <H <d <d <c <C <Z:I", idle},
		{"two copies in one query", ">Q <G >c <C <G >c <C <Z:I", idle},

		{"notices and notifications", ">Q <N <A <S <C <Z:I <A <N <S", idle},
		{"a transaction", ">Q <C <Z:T", idle},
		{"ready too often", ">Q <C <Z:I <Z:I", doubtful},
		{"an answer nobody asked for", "<1", doubtful},
		{"a message of the future", ">Q <C <Z:I <y", doubtful},
		{"a client's message of the future", ">y", doubtful},
		{"copy both", ">Q <W <d >d <d", busy},
		{"copy both, ended by the client", ">Q <W <d >d >c <d <c <C <Z:I", idle},
		{"copy both, ended by the server", ">Q <W <d <c >d >c <T <D <C <C <Z:I", idle},
		{"copy both, failed", ">Q <W <d <E <Z:I >d >c", idle},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := play(test.script)
			got := busy
			switch {
			case c.doubt != "":
				got = doubtful
			case c.idle():
				got = idle
			}
			if got != test.want {
				t.Errorf("%s\nis %s (owed %q, doubt %q), want %s", test.script, got, kindsOf(c.owed), c.doubt, test.want)
			}
		})
	}
}

func TestConversationRestsOnlyOutsideATransaction(t *testing.T) {
	tests := map[string]bool{
		"":                            true,
		">Q <C <Z:I":                  true,
		">Q <C <Z:T":                  false,
		">Q <E <Z:E":                  false,
		">Q <C":                       false,
		">Q <C <Z:I <y":               false, // who knows what the message was
		">Q <y <C <Z:I":               true,  // in doubt, yet the backend is ready
		">Q <y <C <Z:I >Q":            false, // and now it runs something
		">Q <y <C <Z:I >Q <C <Z:I":    true,
		">Q <C <Z:T >Q <C <Z:I >P >H": false,
		">Q <W <d":                    true, // a stream has no end to wait for
		">Q <W <d >c <c <C <Z:T":      false,
	}
	for script, want := range tests {
		if got := play(script).resting(); got != want {
			t.Errorf("%q: resting %v, want %v", script, got, want)
		}
	}
}

func TestConversationCounts(t *testing.T) {
	c := play(">Q <T <D <D <C <Z:I >P >B >E >S <1 <2 <D <C <Z:I >Q <E <Z:I >F <V <Z:I")
	if c.statements != 4 || c.rows != 3 || c.errors != 1 {
		t.Errorf("statements %d, rows %d, errors %d; want 4, 3, 1", c.statements, c.rows, c.errors)
	}
	if c.fatal {
		t.Error("an ERROR was taken for a FATAL")
	}
	if c := play(">Q <G " + strings.Repeat(">S ", 10_000)); len(c.owed.all) > 100 {
		t.Errorf("%d requests are remembered", len(c.owed.all))
	}
	if c := play(">P <2 " + strings.Repeat(">Q <C <Z:I ", 1000)); len(c.owed.all) > 100 || c.statements != 1000 {
		t.Errorf("in doubt, %d requests are remembered of %d", len(c.owed.all), c.statements)
	}
	for body, want := range map[string]bool{
		"SFATAL\x00VFATAL\x00\x00": true, "SВАЖНО\x00VFATAL\x00\x00": true, "SPANIC\x00\x00": true,
		"SFATAL\x00VERROR\x00\x00": false, "SERROR\x00\x00": false, "": false,
	} {
		if isFatal([]byte(body)) != want {
			t.Errorf("isFatal(%q) is %v", body, !want)
		}
	}
	if !play("<E!").fatal {
		t.Error("a FATAL was not noticed")
	}
}

func TestRequestsIsAQueue(t *testing.T) {
	var q requests
	for round := range 1000 {
		for i := range byte(round % 7) {
			q.push(request{kind: 'a' + i})
		}
		for i := range byte(round % 7) {
			if got := q.pop().kind; got != 'a'+i {
				t.Fatalf("round %d: got %q, want %q", round, got, 'a'+i)
			}
		}
		if !q.empty() || q.pop().kind != 0 || q.head().kind != 0 {
			t.Fatalf("round %d: not empty", round)
		}
	}
	for range 100_000 {
		q.push(request{kind: 'x'})
		q.push(request{kind: 'x'})
		q.pop()
	}
	if got := len(q.all) - q.first; got != 100_000 {
		t.Errorf("%d are left, want 100000", got)
	}
}

// Whatever the two sides say, the conversation neither panics nor calls a
// backend idle that owes an answer to the last Query.
func FuzzConversation(f *testing.F) {
	f.Add("Q", "TDCZ")
	f.Add("PBDES", "12TCZ")
	f.Add("QdcS", "GCZZ")
	f.Fuzz(func(t *testing.T, up, down string) {
		c := &conversation{status: wire.TxIdle}
		u, d := clientFrames{c}, backendFrames{c}
		for i := range max(len(up), len(down)) {
			if i < len(up) {
				u.FrameStart(up[i], 0)
			}
			if i < len(down) && d.FrameStart(down[i], 1) > 0 {
				d.FrameBody(down[i], []byte("I"), true)
			}
		}
		c.request(wire.Sync, nil)
		if c.idle() {
			t.Errorf("idle right after a Sync was sent: up %q, down %q", up, down)
		}
	})
}

// kindsOf gives the types of what is under way.
func kindsOf(q requests) string {
	var kinds []byte
	for _, r := range q.waiting() {
		kinds = append(kinds, r.kind)
	}
	return string(kinds)
}
