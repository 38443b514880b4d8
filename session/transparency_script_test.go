// The transparency scripts: text files that say what a client sends, to the byte, and what it waits for.
//
//	# D2: what the script shows; the row of the protocol table comes first
//	needs server >= 17           else the script is left out; also "server < 18", "german messages",
//	                             "no gss" (GSSAPI encryption is refused)
//	plain                        not inside TLS: the script has to do with what comes before
//	mask "regular expression"    a text that differs from run to run
//	sees "bytes"                 PostgreSQL must send this, or the script shows nothing
//	startup 3.2 name=value ...   StartupMessage, password, up to ReadyForQuery; user and database have defaults
//	>startup 3.0 name=value ...  only the StartupMessage, with these pairs alone
//	>password ["text"]           the account's password, or the text
//	>ssl  >gss  tls ["h2"]       the requests; the handshake, with these names for ALPN
//	>raw 51 00 "bytes"           anything
//	>Q "sql"  >P "name" "sql" oid...  >B "portal" "statement" [formats=0,1] [results=1] value...
//	>D S "name"  >C P "name"  >E "portal" rows  >S  >H  >X  >d "data"  >c  >f "why"  >m y "body"
//	>F oid [formats=1] [result=1] value...
//	>eof                         close the sending side
//	<Z  <Z*3  <byte  <eof        wait for messages of a type, for one byte, for the end
//	wait 0.2                     read what comes for so long
//	cancel                       CancelRequest with this session's key, until it is closed
//	repeat 10 ... end            the lines between, so often
//
// Strings are Go's; "x"*100 repeats one, and strings side by side are one. A value is a string or null. What is sent
// between two waits goes out in one piece. "b: >Q ..." is a second session's line. At the end every session that is
// still open is terminated and read to its end.
package session_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

type script struct {
	name, about   string
	steps         []step
	sees          []string
	masks         []*regexp.Regexp
	min, below    int // of the server's major version; 0: any
	german, noGSS bool
	plain         bool
}

// A step is one line at play.
type step struct {
	line    int
	session string
	act     func(p *player, c *peer) error
}

func readScripts(t *testing.T) []*script {
	t.Helper()
	files, err := filepath.Glob("testdata/transparency/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []*script
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseScript(strings.TrimSuffix(filepath.Base(file), ".txt"), string(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func parseScript(name, text string) (*script, error) {
	s := &script{name: name}
	lines := strings.Split(text, "\n")
	if err := s.parseLines(lines, 0); err != nil {
		return nil, fmt.Errorf("%s.txt: %w", name, err)
	}
	if s.about == "" || len(s.steps) == 0 {
		return nil, fmt.Errorf("%s.txt: a script says in a comment what it shows, and has steps", name)
	}
	return s, nil
}

// parseLines parses lines, of which the first one is the number after first.
func (s *script) parseLines(lines []string, first int) error {
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		number := first + i + 1
		if about, comment := strings.CutPrefix(line, "#"); comment && s.about == "" {
			s.about = strings.TrimSpace(about)
		}
		var err error
		if times, repeats := strings.CutPrefix(line, "repeat "); repeats {
			i, err = s.parseRepeat(lines, i, first, times)
		} else {
			err = s.parseLine(line, number)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	return nil
}

func (s *script) parseRepeat(lines []string, at, first int, times string) (end int, err error) {
	n, err := strconv.Atoi(times)
	if err != nil {
		return at, err
	}
	for end = at + 1; end < len(lines) && strings.TrimSpace(lines[end]) != "end"; end++ {
	}
	if end == len(lines) {
		return at, fmt.Errorf("repeat has no end")
	}
	for range n {
		if err := s.parseLines(lines[at+1:end], first+at+1); err != nil {
			return at, err
		}
	}
	return end, nil
}

var sessionLabel = regexp.MustCompile(`^([a-z]): +(.*)$`)

func (s *script) parseLine(line string, number int) error {
	label := "a"
	if found := sessionLabel.FindStringSubmatch(line); found != nil {
		label, line = found[1], found[2]
	}
	words, err := splitWords(line)
	if err != nil || len(words) == 0 {
		return err
	}
	verb, rest := words[0].text, words[1:]
	if known, err := s.parseRemark(verb, rest); known || err != nil {
		return err
	}
	act, err := parseStep(verb, rest)
	if err != nil {
		return err
	}
	s.steps = append(s.steps, step{number, label, act})
	return nil
}

// parseRemark takes lines that are not played.
func (s *script) parseRemark(verb string, rest []word) (known bool, err error) {
	switch verb {
	case "plain":
		s.plain = true
	case "sees", "mask":
		if len(rest) != 1 {
			return true, fmt.Errorf("%s wants one string", verb)
		}
		if verb == "sees" {
			s.sees = append(s.sees, rest[0].text)
			return true, nil
		}
		mask, err := regexp.Compile(rest[0].text)
		s.masks = append(s.masks, mask)
		return true, err
	case "needs":
		return true, s.parseNeeds(rest)
	default:
		return false, nil
	}
	return true, nil
}

func (s *script) parseNeeds(rest []word) (err error) {
	switch {
	case len(rest) == 2 && rest[0].text == "german" && rest[1].text == "messages":
		s.german = true
	case len(rest) == 2 && rest[0].text == "no" && rest[1].text == "gss":
		s.noGSS = true
	case len(rest) == 3 && rest[0].text == "server" && rest[1].text == ">=":
		s.min, err = strconv.Atoi(rest[2].text)
	case len(rest) == 3 && rest[0].text == "server" && rest[1].text == "<":
		s.below, err = strconv.Atoi(rest[2].text)
	default:
		return fmt.Errorf("needs what?")
	}
	return err
}

var waitFor = regexp.MustCompile(`^<(.)(?:\*([0-9]+))?$`)

// parseStep makes a line something to play.
func parseStep(verb string, rest []word) (act func(*player, *peer) error, err error) {
	if found := waitFor.FindStringSubmatch(verb); found != nil && len(rest) == 0 {
		times := 1
		if found[2] != "" {
			times, err = strconv.Atoi(found[2])
		}
		return func(_ *player, c *peer) error { return c.await(found[1][0], times) }, err
	}
	switch verb {
	case "startup", ">startup":
		return parseStartup(verb, rest)
	case ">password":
		return func(p *player, c *peer) error { return c.sendPassword(p, rest) }, nil
	case "tls":
		return func(_ *player, c *peer) error { return c.tryTLS(rest) }, nil
	case ">eof":
		return func(_ *player, c *peer) error { return c.closeWrite() }, nil
	case "<byte":
		return func(_ *player, c *peer) error { return c.awaitByte() }, nil
	case "<eof":
		return func(_ *player, c *peer) error { return c.awaitEnd() }, nil
	case "cancel":
		return func(p *player, c *peer) error { return c.cancel(p) }, nil
	case "wait":
		if len(rest) != 1 {
			return nil, fmt.Errorf("wait how long?")
		}
		seconds, err := strconv.ParseFloat(rest[0].text, 64)
		return func(_ *player, c *peer) error { return c.pause(time.Duration(seconds * float64(time.Second))) }, err
	}
	bytes, err := encodeRequest(verb, rest)
	return func(_ *player, c *peer) error { c.out = append(c.out, bytes...); return nil }, err
}

// A word of a line; quoted if a part of it was a string.
type word struct {
	text   string
	quoted bool
}

// splitWords separates a line at white space outside of strings.
func splitWords(line string) (words []word, err error) {
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" || line[0] == '#' {
			return words, nil
		}
		var w word
		for line != "" && line[0] != ' ' && line[0] != '\t' {
			if line[0] != '"' {
				w.text += line[:1]
				line = line[1:]
				continue
			}
			text, rest, err := cutString(line)
			if err != nil {
				return nil, err
			}
			w.text += text
			w.quoted = true
			line = rest
		}
		words = append(words, w)
	}
}

var repetition = regexp.MustCompile(`^\*([0-9]+)`)

// cutString takes a Go string and its repetition off the front of line.
func cutString(line string) (text, rest string, err error) {
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		return "", "", fmt.Errorf("the string at %.20s: %w", line, err)
	}
	text, err = strconv.Unquote(quoted)
	rest = line[len(quoted):]
	if found := repetition.FindStringSubmatch(rest); found != nil && err == nil {
		times, _ := strconv.Atoi(found[1]) // digits only
		text, rest = strings.Repeat(text, times), rest[len(found[0]):]
	}
	return text, rest, err
}

// rawBytes are strings and hexadecimal bytes.
func rawBytes(words []word) (all string, err error) {
	for _, w := range words {
		if w.quoted {
			all += w.text
			continue
		}
		b, err := hex.DecodeString(w.text)
		if err != nil {
			return "", err
		}
		all += string(b)
	}
	return all, nil
}
