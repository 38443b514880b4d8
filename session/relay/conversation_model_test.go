package relay

import (
	"fmt"
	"strings"
	"testing"

	"gprxy/pool/wire"
)

// A postgres is PostgreSQL as far as a conversation matters: what its main loop
// (src/backend/tcop/postgres.c) and COPY FROM STDIN (copyfromparse.c) do with each
// message, written apart from the code that follows it. A step of a script is one
// character:
//
//	Q P B D E C S F H d c f   the client sends this message
//	0 … 9                     PostgreSQL works through the next one, with this outcome
//	<                         the client sees the next answer
//	!                         PostgreSQL sends something nobody asked for
//	l                         PostgreSQL works through the next one, and an interrupt comes right after the answer
//	t                         the statement timeout runs out, if it is running
type postgres struct {
	input    []byte // sent and not yet read
	answers  []byte // sent and not yet seen
	copying  byte   // the Query or Execute that reads CopyData; 0 if none
	skipping bool   // after an error, to the next Sync
	unsynced bool   // a Sync is due
	timed    bool   // the statement timeout is running: from the first message of a batch to its end
	overdue  bool   // it ran out while PostgreSQL waited for the client
	strange  bool   // what a COPY was sent does not belong there, or an interrupt fell on a message without an answer
}

// What an outcome means; where there is none, it is that of 0.
const (
	fails   = '3'
	copies  = '5'
	another = '8' // COPY in the same Query
	bad     = '9' // data that COPY refuses
	late    = 'l' // an interrupt after the answer

	interrupt = 'e' // the error of one
)

var outcomes = map[byte]map[byte]string{
	'Q': {late: "TDCeZ", '0': "TDCZ", '1': "CZ", '2': "IZ", fails: "EZ", '4': "TDDCTCZ", copies: "G", '6': "HddcCZ", '7': "TDEZ",
		another: "CG"},
	'F': {'0': "VZ", fails: "EZ"},
	'P': {late: "1e", '0': "1", fails: "E"},
	'B': {late: "2e", '0': "2", fails: "E"},
	'C': {late: "3e", '0': "3", fails: "E"},
	'D': {'0': "tT", '1': "tn", '2': "T", '4': "n", fails: "E"},
	'E': {late: "DDCe", '0': "DDC", '1': "C", '2': "I", fails: "E", '4': "Ds", copies: "G", '6': "HdcC", '7': "DE"},
	'S': {'0': "Z", fails: "EZ"},
	'H': {'0': ""}, 'd': {'0': ""}, 'c': {'0': ""}, 'f': {'0': ""},
}

// work reads the next message.
func (p *postgres) work(outcome byte) {
	if len(p.input) == 0 {
		return
	}
	kind := p.input[0]
	p.input = p.input[1:]
	switch {
	case p.copying != 0:
		p.copy(kind, outcome)
	case p.skipping && kind != 'S':
	case p.overdue:
		p.interrupt(kind)
	default:
		p.answer(kind, outcome)
	}
}

// interrupt: the timeout is noticed when the next message has been read, whatever it is.
func (p *postgres) interrupt(kind byte) {
	p.timed, p.overdue = false, false
	p.strange = p.strange || strings.IndexByte("dcfHQF", kind) >= 0
	p.answers = append(p.answers, interrupt)
	if strings.IndexByte("PBDECH", kind) >= 0 {
		p.skipping, p.unsynced = true, true
		return
	}
	p.answers = append(p.answers, 'Z')
	p.unsynced = false
}

func (p *postgres) answer(kind, outcome byte) {
	extended := strings.IndexByte("PBDEC", kind) >= 0
	switch {
	case extended:
		p.unsynced = true
	case kind == 'Q' || kind == 'S' || kind == 'F':
		p.unsynced, p.skipping = false, false
	}
	p.timed = (p.timed || extended) && p.unsynced
	answer, known := outcomes[kind][outcome]
	if !known {
		answer = outcomes[kind]['0']
	}
	p.answers = append(p.answers, answer...)
	if strings.HasSuffix(answer, "G") {
		p.copying = kind
	}
	p.strange = p.strange || extended && outcome == late
	if extended && (strings.HasSuffix(answer, "E") || outcome == late) {
		p.skipping, p.timed = true, false
	}
}

// copy is what COPY FROM STDIN makes of a message.
func (p *postgres) copy(kind, outcome byte) {
	if p.overdue {
		kind = 0 // read, and in vain
	}
	switch {
	case kind == 'd' && outcome != bad, kind == 'H', kind == 'S':
	case kind == 'c' && outcome != bad:
		p.answers = append(p.answers, 'C')
		switch {
		case p.copying == 'Q' && outcome == another:
			p.answers = append(p.answers, 'G')
			return
		case p.copying == 'Q':
			p.answers = append(p.answers, 'Z')
		}
		p.copying = 0
	default:
		p.strange = true
		p.answers = append(p.answers, 'E')
		if p.copying == 'Q' {
			p.answers = append(p.answers, 'Z')
		} else {
			p.skipping = true
		}
		p.copying, p.timed, p.overdue = 0, false, false
	}
}

// rests: it waits for a command, and nothing is under way. CopyData and the like
// outside of COPY, and Flush, change nothing.
func (p *postgres) rests() bool {
	return strings.Trim(string(p.input), "dcfH") == "" && strings.Trim(string(p.answers), "NAS") == "" &&
		p.copying == 0 && !p.skipping && !p.unsynced
}

// follow plays a script and returns the first contradiction.
func follow(script string) string {
	p, c := &postgres{}, &conversation{status: wire.TxIdle}
	steps := script + strings.Repeat("0", len(script)) + strings.Repeat("<", 10*len(script))
	for i := range len(steps) {
		switch step := steps[i]; {
		case strings.IndexByte("QPBDECSFHdcf", step) >= 0:
			clientFrames{c}.FrameStart(step, 0)
			p.input = append(p.input, step)
		case step >= '0' && step <= '9', step == late:
			p.work(step)
		case step == 't':
			p.overdue = p.timed
		case step == '!':
			p.answers = append(p.answers, "NAS"[i%3])
		case step == '<' && len(p.answers) > 0:
			see(c, p.answers[0])
			p.answers = p.answers[1:]
		}
		switch {
		case c.idle() && !p.rests():
			return "idle after " + steps[:i+1] + ", and PostgreSQL is not"
		case c.doubt != "" && !p.strange:
			return "in doubt after " + steps[:i+1] + ": " + c.doubt
		}
	}
	if p.rests() && !c.idle() && c.doubt == "" {
		return "busy in the end (owed " + kindsOf(c.owed) + "), and PostgreSQL rests"
	}
	if c.doubt == "" && len(p.answers) == 0 && len(p.input) == 0 && p.skipping != c.skipping {
		return fmt.Sprintf("skipping is %v in the end, and PostgreSQL's %v", c.skipping, p.skipping)
	}
	return ""
}

func see(c *conversation, kind byte) {
	b := backendFrames{c}
	body := map[byte]string{'Z': "I", 'S': "TimeZone\x00UTC\x00",
		'E': "SERROR\x00VERROR\x00C22012\x00\x00", interrupt: "SERROR\x00VERROR\x00C57014\x00\x00"}[kind]
	if kind == interrupt {
		kind = 'E'
	}
	if b.FrameStart(kind, uint32(len(body))) > 0 {
		b.FrameBody(kind, []byte(body), true)
	}
}

// The conversation calls a backend idle when PostgreSQL is, whatever was sent
// ahead, failed, skipped, copied or interrupted; never before; and it doubts only where
// a COPY went wrong, or an interrupt fell on what has no answer.
func FuzzConversationModel(f *testing.F) {
	for _, script := range []string{
		"Q0<<<<", "QQQ010<<<<<<<<", "PBDES00000<<<<<<<", "PBES30000<<", "PBESPBES3000<0000<<<<<", "PBE0<H<S", "PBE0Q0<<<<",
		"Q5<dddc000000<<", "Q5<ddf0000<<", "Qddc5000<<<", "Q5<dc0" + "8<dc00<<<", "PBES050<G<dcS000<<<", "BE05<dS9000<<", "Q5<SSSdc00000<<",
		"F0<<F3<<", "!Q!0<<!<!<", "PH3<BEQS0000<", "PBES0003<<<<", "Q5<cSS000<<<<", "E5<dcS900<<", "E5<dfS000<<", "E5<cF000<<<<", "Q8<dc00<<",
		"E7S0<<<", "C0S0<<", "Q5<Q0<<", "fcdH0000",
		// The timeout runs out while PostgreSQL waits, and the error falls on what comes next.
		"PH00<td0<<Q0<<", "PH00<tc0<Q<<0<<S0<", "PH00<tH0<Q0BES000<", "PH00<tQ0<<", "PH00<tS0<<", "PH00<tP0<S0<", "PEH000<<<tf0<QPBES000<0<0<<",
		"PBE00lS<<<<<0<", "PBE00lQ<<<<<0S0<", "PBE00ld0<<<<<S0<", "PlS<<0<", "Ql<<<<<Q0",
		"PH00<tHQ0<0S0<", "PH00<tdQ0<0<<<", "E5<tdS00<<<", "PH00<tdHS0<<00<",
		// What psql, pgbench, pgx and a driver with a pipeline sent.
		"Q0<<<<Q0<<<<", "PDS000<<<<BES000<<<<", "PBDES00000<<<<<<", "PBDESPBDESPBDES000000000000000<<<<<<<<<<<<<<<<<<", "Q5<ddddc00000<<",
	} {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) > 300 {
			return
		}
		if wrong := follow(script); wrong != "" {
			t.Errorf("%q: %s", script, wrong)
		}
	})
}
