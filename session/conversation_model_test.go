package session

import (
	"strings"
	"testing"
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
type postgres struct {
	input    []byte // sent and not yet read
	answers  []byte // sent and not yet seen
	copying  byte   // the Query or Execute that reads CopyData; 0 if none
	skipping bool   // after an error, to the next Sync
	unsynced bool   // a Sync is due
	strange  bool   // a COPY failed, or was sent what does not belong there
}

// What an outcome means; where there is none, it is that of 0.
const (
	fails   = '3'
	copies  = '5'
	another = '8' // COPY in the same Query
	bad     = '9' // data that COPY refuses
)

var outcomes = map[byte]map[byte]string{
	'Q': {'0': "TDCZ", '1': "CZ", '2': "IZ", fails: "EZ", '4': "TDDCTCZ", copies: "G", '6': "HddcCZ", '7': "TDEZ", another: "CG"},
	'F': {'0': "VZ", fails: "EZ"},
	'P': {'0': "1", fails: "E"},
	'B': {'0': "2", fails: "E"},
	'C': {'0': "3", fails: "E"},
	'D': {'0': "tT", '1': "tn", '2': "T", '4': "n", fails: "E"},
	'E': {'0': "DDC", '1': "C", '2': "I", fails: "E", '4': "Ds", copies: "G", '6': "HdcC", '7': "DE"},
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
	default:
		p.answer(kind, outcome)
	}
}

func (p *postgres) answer(kind, outcome byte) {
	extended := strings.IndexByte("PBDEC", kind) >= 0
	switch {
	case extended:
		p.unsynced = true
	case kind == 'Q' || kind == 'S' || kind == 'F':
		p.unsynced, p.skipping = false, false
	}
	answer, known := outcomes[kind][outcome]
	if !known {
		answer = outcomes[kind]['0']
	}
	p.answers = append(p.answers, answer...)
	if strings.HasSuffix(answer, "G") {
		p.copying = kind
	}
	if extended && strings.HasSuffix(answer, "E") {
		p.skipping = true
	}
}

// copy is what COPY FROM STDIN makes of a message.
func (p *postgres) copy(kind, outcome byte) {
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
		p.copying = 0
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
	p, c := &postgres{}, &conversation{status: txIdle}
	steps := script + strings.Repeat("0", len(script)) + strings.Repeat("<", 10*len(script))
	for i := range len(steps) {
		switch step := steps[i]; {
		case strings.IndexByte("QPBDECSFHdcf", step) >= 0:
			clientFrames{c}.frameStart(step, 0)
			p.input = append(p.input, step)
		case step >= '0' && step <= '9':
			p.work(step)
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
	if p.rests() && !c.idle() && !p.strange {
		return "busy in the end (owed " + kindsOf(c.owed) + "), and PostgreSQL rests"
	}
	return ""
}

func see(c *conversation, kind byte) {
	b := backendFrames{c}
	body := map[byte]string{'Z': "I", 'S': "TimeZone\x00UTC\x00", 'E': "SERROR\x00VERROR\x00\x00"}[kind]
	if b.frameStart(kind, uint32(len(body))) > 0 {
		b.frameBody(kind, []byte(body), true)
	}
}

// The conversation calls a backend idle when PostgreSQL is, whatever was sent
// ahead, failed, skipped or copied; never before; and it doubts only where a COPY
// went wrong.
func FuzzConversationModel(f *testing.F) {
	for _, script := range []string{
		"Q0<<<<", "QQQ010<<<<<<<<", "PBDES00000<<<<<<<", "PBES30000<<", "PBESPBES3000<0000<<<<<", "PBE0<H<S", "PBE0Q0<<<<",
		"Q5<dddc000000<<", "Q5<ddf0000<<", "Qddc5000<<<", "Q5<dc0" + "8<dc00<<<", "PBES050<G<dcS000<<<", "BE05<dS9000<<", "Q5<SSSdc00000<<",
		"F0<<F3<<", "!Q!0<<!<!<", "PH3<BEQS0000<", "PBES0003<<<<", "Q5<cSS000<<<<", "E5<dcS900<<", "E5<dfS000<<", "E5<cF000<<<<", "Q8<dc00<<", "E7S0<<<", "C0S0<<", "Q5<Q0<<", "fcdH0000",
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
