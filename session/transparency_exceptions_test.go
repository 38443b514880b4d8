// Where gprxy differs from PostgreSQL, on purpose: every case, with its reason and with what both sides say.
package session_test

import (
	"fmt"
	"slices"
	"strings"
)

// An exception holds for one session of one script. What only PostgreSQL says and what only gprxy says are pinned, but
// for file, line and routine of PostgreSQL's source; an exception that is not needed any more is an error.
type exception struct {
	script      string
	below, from int    // major versions of the server; 0: any
	session     string // "" is a
	reason      string
	direct      []string
	proxied     []string
	chance      bool // the difference comes and goes
}

// differences are all there are.
var differences = slices.Concat(
	saysWhy("invalid message length", "a10-a-password-of-65536-bytes",
		"d7-a-length-of-0", "d7-a-length-of-3", "d7-a-bad-length-behind-a-query"),
	tellsTheLoss("d7-a-length-of-1-gb", "d7-a-length-of-4-gb", "d7-a-sync-of-10-kb"),

	sameWords(fatal("08P01", "invalid startup packet layout: expected terminator as last byte"), "a7-no-terminator",
		"a7-bytes-behind-the-terminator", "a7-a-name-without-value", "a7-a-value-cut-short", "a7-only-a-version"),
	sameWords(fatal("28000", "no PostgreSQL user name specified in startup packet"), "a7-no-pairs", "a7-no-user",
		"a7-an-empty-user", "a5-option-without-user"),
	sameWords(badReplication("perhaps"), "c3-bad-replication", "a5-options-and-replication", "a7-replication-that-is-cut-short"),
	sameWords(badReplication(""), "a7-empty-replication"),
	sameWords(fatal("08P01", "invalid password packet size"), "a10-a-password-without-end"),

	unsupported("a2-ssl-inside-tls", "1234.5679"),
	unsupported("a3-gss-twice", "1234.5680"),
	unsupported("a3-gss-inside-tls", "1234.5680"),
	unsupported("a6-protocol-4", "4.0"),
	unsupported("a6-protocol-0", "0.0"),
	sameWords(fatal("08P01", "expected password response, got message type 81"), "a10-another-message-than-the-password"),
	sameWords(fatal("08P01", "expected password response, got message type 88"), "a10-goodbye-instead-of-a-password"),
	unsupportedLegacy("a6-protocol-1", "1.0"),
	unsupportedLegacy("a6-protocol-2", "2.0"),

	newerProtocol(), atLogin(), midSession(),
)

// saysWhy: PostgreSQL tells only its log. A password that is too long may be a person's token, and who has logged in speaks
// the protocol: whoever mends that client must hear why.
func saysWhy(message string, scripts ...string) (all []exception) {
	for _, name := range scripts {
		all = append(all, exception{script: name, proxied: []string{fatal("08P01", message)},
			reason: "PostgreSQL closes without a word, gprxy says why"})
	}
	return all
}

// tellsTheLoss: lengths that are possible, and more than PostgreSQL takes. It closes without a word.
func tellsTheLoss(scripts ...string) (all []exception) {
	for _, name := range scripts {
		all = append(all, exception{script: name, reason: "G2: a backend that goes without a word is told of once",
			proxied: []string{fatal("08006", "gprxy lost the connection to PostgreSQL") +
				` H="Connect again; what was running may or may not have been done."`}})
	}
	return all
}

// sameWords: a refusal of gprxy's own, in PostgreSQL's words.
func sameWords(message string, scripts ...string) (all []exception) {
	for _, name := range scripts {
		all = append(all, exception{script: name, direct: []string{message}, proxied: []string{message},
			reason: "gprxy's own message does not stand in PostgreSQL's source, so it has no F, L and R"})
	}
	return all
}

func badReplication(value string) string {
	return fatal("22023", fmt.Sprintf("invalid value for parameter %q: %q", "replication", value)) +
		` H="Valid values are: \"false\", 0, \"true\", 1, \"database\"."`
}

const oldServer = "gprxy speaks protocol 3.2 with clients, PostgreSQL before 18 only 3.0"

// before14: PostgreSQL 13 still speaks protocol 2, and says so.
const before14 = oldServer + ", and before 14 protocol 2 as well"

func unsupported(script, version string) []exception {
	refused := fatal("0A000", "unsupported frontend protocol "+version+": server supports 3.0 to 3.")
	direct, proxied := refused[:len(refused)-1]+`0"`, refused[:len(refused)-1]+`2"`
	with2 := exception{script: script, below: 14, reason: before14,
		direct: []string{strings.Replace(direct, "3.0 to", "2.0 to", 1)}, proxied: []string{proxied}}
	if version == "0.0" { // which is older than protocol 3
		with2.direct = []string{legacy("unsupported frontend protocol 0.0: server supports 2.0 to 3.0")}
	}
	old := exception{script: script, below: 18, reason: oldServer, direct: []string{direct}, proxied: []string{proxied}}
	current := sameWords(proxied, script)[0]
	current.from = 18
	return []exception{with2, old, current}
}

// unsupportedLegacy is unsupported in the form of protocol 2, which has nothing but a text.
func unsupportedLegacy(script, version string) []exception {
	text := "unsupported frontend protocol " + version + ": server supports "
	proxied := []string{legacy(text + "3.0 to 3.2")}
	with2 := exception{script: script, below: 14, reason: before14, direct: []string{legacy(text + "2.0 to 3.0")}, proxied: proxied}
	if version == "2.0" {
		with2.direct = []string{legacy("no PostgreSQL user name specified in startup packet")}
	}
	return []exception{with2, {script: script, below: 18, reason: oldServer, direct: []string{legacy(text + "3.0 to 3.0")}, proxied: proxied}}
}

// legacy is how an error in the form of protocol 2 reads.
func legacy(text string) string { return `bytes "EFATAL:  ` + text + `\n\x00"` }

// newerProtocol is what only protocol 3.2 has.
func newerProtocol() []exception {
	const (
		only30 = `v "\x00\x03\x00\x00\x00\x00\x00\x00"`
		only32 = `v "\x00\x03\x00\x02\x00\x00\x00\x00"`
		short  = "K (pid and secret, 8 bytes)"
		long   = "K (pid and secret, 36 bytes)"
	)
	return []exception{
		{script: "a5-protocol-3-1", below: 18, reason: oldServer, direct: []string{only30}},
		{script: "a5-protocol-3-2", below: 18, reason: oldServer, direct: []string{only30, short}, proxied: []string{long}},
		{script: "a5-protocol-3-9999", below: 18, reason: oldServer, direct: []string{only30, short}, proxied: []string{only32, long}},
		{script: "e1-cancel-with-a-long-key", below: 18, reason: oldServer, direct: []string{only30, short}, proxied: []string{long}},
	}
}

// fatal is how an ErrorResponse with severity FATAL reads.
func fatal(code, message string) string {
	return fmt.Sprintf("E S=%q V=%q C=%q M=%q", "FATAL", "FATAL", code, message)
}

func exceptionFor(s *script, session string, major int) *exception {
	for i, e := range differences {
		if e.session == "" {
			e.session = "a"
		}
		if e.script == s.name && e.session == session && (e.below == 0 || major < e.below) && major >= e.from {
			return &differences[i]
		}
	}
	return nil
}

// covers tells whether two transcripts differ exactly as declared.
func (e *exception) covers(direct, proxied transcript) bool {
	onlyDirect, onlyProxied := difference(direct, proxied)
	return slices.Equal(onlyDirect, e.direct) && slices.Equal(onlyProxied, e.proxied)
}

// difference returns what only one of two transcripts has, by their longest common subsequence.
func difference(a, b transcript) (onlyA, onlyB []string) {
	x, y := a.lines(), b.lines()
	common := make([][]int, len(x)+1) // of x[i:] and y[j:]
	for i := range common {
		common[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if a.items[i].equal(b.items[j]) {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(x) && j < len(y) {
		switch {
		case a.items[i].equal(b.items[j]):
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			onlyA = append(onlyA, x[i])
			i++
		default:
			onlyB = append(onlyB, y[j])
			j++
		}
	}
	return append(onlyA, x[i:]...), append(onlyB, y[j:]...)
}

func (t transcript) lines() (all []string) {
	for _, i := range t.items {
		all = append(all, i.withoutSource())
	}
	return all
}
