// Odd conversations: what port scanners, health checks, drivers with a fault and clients in a hurry send. What they read
// through gprxy, and how the connection ends, is what PostgreSQL gives them.
package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gprxy/pool/pooltest"
)

// TestOddConversations: the same words as PostgreSQL's, or none where it has none, and no reset where PostgreSQL closes.
func TestOddConversations(t *testing.T) {
	for _, major := range []int{pooltest.OldestMajor, pooltest.NewestMajor} {
		t.Run(fmt.Sprint("PostgreSQL ", major), func(t *testing.T) {
			t.Parallel()
			bin, err := pooltest.Release(t.Context(), major, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			stage := setStage(t, pooltest.Options{BinDir: bin})
			for _, s := range oddScripts(t, major) {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					stage.compareOdd(t, s)
				})
			}
		})
	}
}

// compareOdd is compare, but for the place in PostgreSQL's source, and for the differences of oddDifferences.
func (st *stage) compareOdd(t *testing.T, s *script) {
	peers, err := s.play(st.direct)
	direct := s.transcripts(peers)[0]
	if err != nil {
		t.Fatalf("against PostgreSQL: %v\n%s", err, tellAll([]transcript{direct}))
	}
	for _, r := range st.proxied {
		if r.tls && s.plain {
			continue
		}
		peers, err := s.play(r)
		proxied := s.transcripts(peers)[0]
		if err != nil {
			t.Errorf("through %s: %v", r.name, err)
		}
		if proxied.reset && !direct.reset {
			t.Errorf("%s ends with a reset, PostgreSQL closes", r.name)
		}
		st.judgeOdd(t, s.name, r.name, direct, proxied)
	}
}

func (st *stage) judgeOdd(t *testing.T, name, way string, direct, proxied transcript) {
	t.Helper()
	declared := oddDifferenceFor(name, st.major)
	_, onlyProxied := difference(direct, proxied)
	switch same := slices.Equal(direct.lines(), proxied.lines()); {
	case same && declared != nil && !strings.Contains(name, ","): // with more behind it, it may be the same
		t.Errorf("no difference through %s, but one is declared: %s", way, declared.reason)
	case !same && (declared == nil || !slices.Equal(onlyProxied, declared.proxied)):
		t.Errorf("%s", tell(direct, proxied, way))
	}
}

// An oddDifference is declared: gprxy says this, and PostgreSQL below a major version, or any, something else or nothing.
type oddDifference struct {
	name    string // the conversation's, or the beginning of several
	below   int    // 0: all
	proxied []string
	reason  string
}

func oddDifferenceFor(name string, major int) *oddDifference {
	name = strings.ReplaceAll(strings.TrimPrefix(name, "odd-"), "-", " ")
	for i, d := range oddDifferences {
		if strings.HasPrefix(name, d.name) && (d.below == 0 || major < d.below) {
			return &oddDifferences[i]
		}
	}
	return nil
}

const oddUnencrypted = ` D="This could be either a client-software bug or evidence of an attempted man-in-the-middle attack."`

var oddDifferences = []oddDifference{
	{"a message of length 0", 0, []string{fatal("08P01", "invalid message length")},
		"who has logged in speaks the protocol, and whoever mends that client must hear why"},
	{"a password of length 70000", 0, []string{fatal("08P01", "invalid message length")}, "it may be the token of a person"},
	{"a password of 4 GB", 0, []string{fatal("08P01", "invalid message length")}, "it may be the token of a person"},
	{"an empty password", 0, []string{oddBadPassword}, "one text for every reason"},
	{"a wrong password", 0, []string{oddBadPassword}, "the hint is gprxy's"},
	{"an SSL request and more at once", 0, []string{fatal("08P01", "received unencrypted data after SSL request") + oddUnencrypted},
		oddFoundAtOnce},
	{"an SSL request and a startup packet at once", 0, []string{fatal("08P01", "received unencrypted data after SSL request") +
		oddUnencrypted}, oddFoundAtOnce},
	{"a handshake record of nonsense", 0, []string{`bytes "\x15\x03\x01\x00\x02\x02P"`}, oddAlert},
	{"a handshake of an old version", 0, []string{`bytes "\x15\x03\x01\x00\x02\x022"`}, oddAlert},
	{"a GSS request and more at once", 14, []string{oddGSSUnencrypted}, oddProtocol2},
	{"a GSS request and a startup packet at once", 14, []string{oddGSSUnencrypted}, oddProtocol2},
	{"a GSS request twice", 18, []string{oddUnsupported("1234.5680")}, oldServer},
	{"protocol 0.1", 18, []string{oddUnsupportedText("0.1")}, oldServer},
	{"protocol 0.0", 14, []string{oddUnsupported("0.0")}, oddProtocol2},
	{"protocol 1.0", 18, []string{oddUnsupportedText("1.0")}, oldServer},
	{"protocol 2.0", 18, []string{oddUnsupportedText("2.0")}, oddProtocol2},
	{"protocol 4.0", 18, []string{oddUnsupported("4.0")}, oldServer},
	{"protocol 255.0", 18, []string{oddUnsupported("255.0")}, oldServer},
	{"protocol 65535.65535", 18, []string{oddUnsupported("65535.65535")}, oldServer},
	{"protocol 1234.0", 18, []string{oddUnsupported("1234.0")}, oldServer},
	{"protocol 1234.5677", 18, []string{oddUnsupported("1234.5677")}, oldServer},
	{"protocol 1234.5681", 18, []string{oddUnsupported("1234.5681")}, oldServer},
}

const (
	oddFoundAtOnce = "gprxy finds it before the handshake; PostgreSQL after it, and there is none"
	oddAlert       = "direct TLS is of PostgreSQL 17, and the alert is the TLS library's own"
	oddProtocol2   = "PostgreSQL 13 still speaks protocol 2"
)

var (
	oddBadPassword = fatal("28P01", `password authentication failed for user "app_reader"`) +
		` H="Check the password, or log in again for a fresh token; after several failed logins, wait a minute. The reason stands in gprxy's event log."`
	oddGSSUnencrypted = fatal("08P01", "received unencrypted data after GSSAPI encryption request") + oddUnencrypted
)

func oddUnsupported(version string) string {
	return fatal("0A000", "unsupported frontend protocol "+version+": server supports 3.0 to 3.2")
}

func oddUnsupportedText(version string) string {
	return fmt.Sprintf("bytes %q", "EFATAL:  unsupported frontend protocol "+version+": server supports 3.0 to 3.2\n\x00")
}

// oddScripts makes scripts of the table: what is sent, with nothing or much behind it, by a client that waits or has closed
// its sending side.
// The oldest server gets what is sent alone: it parts with clients in the same way.
func oddScripts(t *testing.T, major int) (all []*script) {
	t.Helper()
	add := func(name string, lines ...string) {
		text := "# " + name + "\n" + strings.Join(lines, "\n") + "\n"
		if lines[0] != "startup" && lines[0] != oddStartup {
			text = "plain\n" + text // TLS is what it is about
		}
		s, err := parseScript("odd-"+strings.ReplaceAll(name, " ", "-"), text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	for _, c := range oddEndings {
		add(c.name, append(c.lines, "<eof")...)
		if major == pooltest.OldestMajor {
			continue
		}
		add(c.name+", and more", append(c.lines, `>raw "x"*100000`, "<eof")...)
		add(c.name+", and the end", append(c.lines, ">eof", "<eof")...)
	}
	for _, c := range oddWaits {
		add(c.name+", and the end", append(c.lines, ">eof", "<eof")...)
	}
	return all
}

type oddConversation struct {
	name  string
	lines []string
}

func odd(name string, lines ...string) oddConversation {
	return oddConversation{name, lines[:len(lines):len(lines)]}
}

const (
	oddSSL     = `>raw 00 00 00 08 04 d2 16 2f`
	oddGSS     = `>raw 00 00 00 08 04 d2 16 30`
	oddStartup = `>startup 3.0 user=app_reader database=demo`
)

// oddEndings end the connection, whatever follows.
var oddEndings = []oddConversation{
	odd("a web browser", `>raw "GET / HTTP/1.1\r\nHost: db\r\n\r\n"`),
	odd("an ssh client", `>raw "SSH-2.0-OpenSSH_9.6\r\n"`),
	odd("a mail server", `>raw "EHLO mail.example.com\r\n"`),
	odd("a redis client", `>raw "PING\r\n"`),
	odd("line breaks", `>raw "\n\n\n\n\n\n\n\n"`),
	odd("a goodbye", `>raw "X" 00 00 00 04`), // node-postgres, told to connect and to end at once
	odd("a goodbye before the startup packet", `>raw "X" 00 00 00 04`, oddStartup),
	odd("a query", `>Q "select 1"`),
	odd("a password", `>raw "p" 00 00 00 08 "abc" 00`),
	odd("all ones", `>raw ff ff ff ff ff ff ff ff`),
	odd("length 0", `>raw 00 00 00 00`),
	odd("length 1", `>raw 00 00 00 01 "x"`),
	odd("length 3", `>raw 00 00 00 03 "xxx"`),
	odd("length 4", `>raw 00 00 00 04 "xxxx"`),
	odd("length 7", `>raw 00 00 00 07 "xxx"`),
	odd("length 10001", `>raw 00 00 27 11 00 03 00 00`, `>raw "x"*9993`),
	odd("length 10005", `>raw 00 00 27 15 00 03 00 00`),
	odd("length 65536", `>raw 00 01 00 00 00 03 00 00`),
	odd("length 2 GB", `>raw 7f ff ff ff 00 03 00 00`),
	odd("length minus 2 GB", `>raw 80 00 00 00 00 03 00 00`),

	odd("protocol 0.0", `>raw 00 00 00 08 00 00 00 00`),
	odd("protocol 0.1", `>raw 00 00 00 08 00 00 00 01`),
	odd("protocol 1.0", `>raw 00 00 00 09 00 01 00 00 00`),
	odd("protocol 2.0", `>raw 00 00 00 09 00 02 00 00 00`),
	odd("protocol 4.0", `>raw 00 00 00 09 00 04 00 00 00`),
	odd("protocol 255.0", `>raw 00 00 00 09 00 ff 00 00 00`),
	odd("protocol 65535.65535", `>raw 00 00 00 09 ff ff ff ff 00`),
	odd("protocol 1234.0", `>raw 00 00 00 09 04 d2 00 00 00`),
	odd("protocol 1234.5677", `>raw 00 00 00 08 04 d2 16 2d`),
	odd("protocol 1234.5681", `>raw 00 00 00 08 04 d2 16 31`),

	odd("an SSL request and another in the handshakes place", oddSSL, `<byte`, oddSSL),
	odd("an SSL request and a startup packet in the handshakes place", oddSSL, `<byte`, oddStartup),
	odd("an SSL request and a web browser in the handshakes place", oddSSL, `<byte`, `>raw "GET / HTTP/1.1\r\n\r\n"`),
	odd("a GSS request and more at once", oddGSS, `>raw "x"`, `<byte`),
	odd("a GSS request and a startup packet at once", oddGSS, oddStartup, `<byte`),
	odd("a GSS request twice", oddGSS, `<byte`, oddGSS),
	odd("a GSS request and a web browser", oddGSS, `<byte`, `>raw "GET / HTTP/1.1\r\n\r\n"`),
	odd("a handshake record of nonsense", `>raw 16 03 01 00 05 "xxxxx"`),
	odd("a handshake of an old version", `>raw 16 03 00 00 2d 01 00 00 29 03 00`, `>raw "\x00"*39`),

	odd("a cancel request without a key", `>raw 00 00 00 08 04 d2 16 2e`),
	odd("a cancel request with a pid alone", `>raw 00 00 00 0c 04 d2 16 2e 00 00 00 01`),
	odd("a cancel request of 15 bytes", `>raw 00 00 00 0f 04 d2 16 2e 00 00 00 01 00 00 00`),
	odd("a cancel request of 16 bytes", `>raw 00 00 00 10 04 d2 16 2e 00 00 00 01 00 00 00 00`),
	odd("a cancel request of 17 bytes", `>raw 00 00 00 11 04 d2 16 2e 00 00 00 01 00 00 00 00 00`),
	odd("a cancel request of 44 bytes", `>raw 00 00 00 2c 04 d2 16 2e 00 00 00 01`, `>raw "x"*32`),
	odd("a cancel request of 268 bytes", `>raw 00 00 01 0c 04 d2 16 2e 00 00 00 01`, `>raw "x"*256`),
	odd("a cancel request of 269 bytes", `>raw 00 00 01 0d 04 d2 16 2e 00 00 00 01`, `>raw "x"*257`),
	odd("a cancel request of 10004 bytes", `>raw 00 00 27 14 04 d2 16 2e 00 00 00 01`, `>raw "x"*9992`),

	odd("no user", `>startup 3.0 database=demo`),
	odd("an empty user", `>startup 3.0 user="" database=demo`),
	odd("a startup packet without its terminator", `>raw 00 00 00 13 00 03 00 00 "user" 00 "alice" 00`),
	odd("a startup packet with much in the terminators place", `>raw 00 00 00 15 00 03 00 00 "user" 00 "alice" 00 "xy"`),
	odd("a startup packet of a version alone", `>raw 00 00 00 08 00 03 00 00`),
	odd("a startup packet of one NUL", `>raw 00 00 00 09 00 03 00 00 00`),
	odd("a startup packet with bytes behind its end", `>raw 00 00 00 18 00 03 00 00 "user" 00 "alice" 00 00 "more"`),
	odd("a name without a value", `>raw 00 00 00 16 00 03 00 00 "user" 00 "a" 00 "databas"`),

	odd("a query for a password", oddStartup, `<R`, `>Q "select 1"`),
	odd("a goodbye for a password", oddStartup, `<R`, `>X`),
	odd("a web browser for a password", oddStartup, `<R`, `>raw "GET / HTTP/1.1\r\n\r\n"`),
	odd("a second startup packet", oddStartup, `<R`, oddStartup),
	odd("a password of length 3", oddStartup, `<R`, `>raw "p" 00 00 00 03`),
	odd("a password of length 70000", oddStartup, `<R`, `>raw "p" 00 01 11 70`),
	odd("a password of 4 GB", oddStartup, `<R`, `>raw "p" ff ff ff ff`),
	odd("a password without an end", oddStartup, `<R`, `>raw "p" 00 00 00 08 "abcd"`),
	odd("an empty password", oddStartup, `<R`, `>raw "p" 00 00 00 05 00`),
	odd("a wrong password and a query", oddStartup, `<R`, `>password "wrong"`, `>Q "select 1"`),
	odd("a wrong password and much", oddStartup, `<R`, `>password "wrong"`, `>raw "x"*300000`),
	odd("a database that is not there", `>startup 3.0 user=app_reader database=nowhere`, `<R`, `>password`, `>Q "select 1"`),

	odd("a goodbye in a session", `startup`, `>X`),
	odd("a query and a goodbye at once", `startup`, `>Q "select 1"`, `>X`),
	odd("an unknown message", `startup`, `>m y "what"`),
	odd("an unknown message behind a query", `startup`, `>Q "select 1"`, `>m y "what"`),
	odd("a web browser in a session", `startup`, `>raw "GET / HTTP/1.1\r\n\r\n"`),
	odd("a startup packet in a session", `startup`, oddStartup),
	odd("a message of length 0", `startup`, `>raw "Q" 00 00 00 00`),
	odd("a session that is ended", `startup`, `>Q "select pg_terminate_backend(pg_backend_pid())"`),
	odd("a session that is ended and much", `startup`, `>Q "select pg_terminate_backend(pg_backend_pid())"`, `>raw "d"*300000`),
}

// oddWaits are what a server waits behind for more.
var oddWaits = []oddConversation{
	odd("nothing", `>raw`),
	odd("one NUL", `>raw 00`),
	odd("half a length", `>raw 00 00`),
	odd("a length alone", `>raw 00 00 00 20`),
	odd("half a startup packet", `>raw 00 00 00 20 00 03`),
	odd("length 10000", `>raw 00 00 27 10 00 03 00 00`),
	odd("half an SSL request", `>raw 00 00 00 08 04 d2`),
	odd("an SSL request", oddSSL),
	odd("an SSL request of 12 bytes", `>raw 00 00 00 0c 04 d2 16 2f 00 00 00 00`),
	odd("an SSL request that is answered", oddSSL, `<byte`),
	odd("an SSL request and more at once", oddSSL, `>raw "x"`),
	odd("an SSL request and a startup packet at once", oddSSL, oddStartup),
	odd("a GSS request", oddGSS),
	odd("a GSS request that is answered", oddGSS, `<byte`),
	odd("a handshake that is none", `>raw 16 "x"`),
	odd("half a handshake", `>raw 16 03 01 02 00 01`),
	odd("an SSL request and half a handshake", oddSSL, `<byte`, `>raw 16 03 01 02 00 01`),
	odd("half a cancel request", `>raw 00 00 00 10 04 d2 16 2e 00 00`),
	odd("a startup packet", oddStartup),
	odd("a startup packet that is answered", oddStartup, `<R`),
	odd("a startup packet with another byte for its terminator", `>raw 00 00 00 14 00 03 00 00 "user" 00 "alice" 00 "x"`),
	odd("half a password", oddStartup, `<R`, `>raw "p" 00 00 00 10 "abc"`),
	odd("half a message in a session", `startup`, `>raw "Q" 00 00 00 10 "abc"`),
	odd("half a message behind a query", `startup`, `>Q "select 1"`, `>raw "Q" 00 00`),
	odd("a query", `startup`, `>Q "select 1"`),
}
