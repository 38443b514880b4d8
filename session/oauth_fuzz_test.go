package session

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"gprxy/session/refusal"
	"gprxy/session/socket"
	"gprxy/session/startup"
	"gprxy/session/startup/startuptest"
)

// RFC 7628, section 3.1, as one expression: what a client may answer.
var clientResponse = regexp.MustCompile(`^[ny],,\x01(?:[A-Za-z]+=[\x20-\x7e\t\r\n]*\x01)*\x01$`)

// FuzzClientResponse: a message of OAUTHBEARER is understood exactly if the RFC's
// grammar says so and there is one auth value in it.
func FuzzClientResponse(f *testing.F) {
	for _, seed := range []string{
		"n,,\x01auth=Bearer abc\x01\x01", "y,,\x01auth=\x01\x01", "n,,\x01\x01", "p=tls-unique,,\x01auth=x\x01\x01", "n,a=bob,\x01auth=x\x01\x01",
		"n,,\x01host=db\x01port=1\x01auth=Bearer x==\x01\x01", "n,,\x01auth=x\x01auth=x\x01\x01", "n,,\x01auth=x\x01", "n,,", "n", "",
		"n,,\x01auth=\x00\x01\x01",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, response []byte) {
		value, err := parseClientResponse(response)
		pairs := strings.Split(string(response), "\x01")
		auths := 0
		for _, pair := range pairs[1:] {
			if strings.HasPrefix(pair, "auth=") {
				auths++
			}
		}
		if good := clientResponse.Match(response) && auths == 1; good != (err == nil) {
			t.Fatalf("%q: %v; by the grammar it is good: %v", response, err, good)
		}
		if err != nil {
			wantTellable(t, err)
			return
		}
		if !strings.Contains(string(response), "\x01auth="+value+"\x01") {
			t.Errorf("%q gives %q", response, value)
		}
		token, err := cutBearer(value)
		if err == nil && (token == "" || !strings.HasSuffix(value, token) || strings.ContainsAny(token, " \x00\r\n\"\\")) {
			t.Errorf("%q gives the token %q", value, token)
		}
	})
}

// FuzzPasswordMessage: what a client answers to the question for a password, or for
// a token, is read within PostgreSQL's limit or refused, whatever length it claims.
func FuzzPasswordMessage(f *testing.F) {
	initial := func(mechanism, response string) string {
		size := binary.BigEndian.AppendUint32(nil, uint32(len(response)))
		return startuptest.Frame('p', mechanism+"\x00"+string(size)+response)
	}
	for _, seed := range []string{
		startuptest.Frame('p', "secret\x00"), startuptest.Frame('p', "\x00"), startuptest.Frame('p', ""), startuptest.Frame('p', "no end"),
		startuptest.Frame('p', "two\x00ends\x00"), startuptest.Frame('X', ""),
		startuptest.Frame('Q', "select 1\x00"),
		"p\xff\xff\xff\xff", "p\x00\x00\x00\x03", "p\x00\x01\x00\x04", "p\x00",
		initial("OAUTHBEARER", "n,,\x01auth=Bearer a.b.c\x01\x01"), initial("OAUTHBEARER", "n,,\x01auth=\x01\x01"),
		initial("SCRAM-SHA-256", "n,,n=,r=x"),
		startuptest.Frame('p', "OAUTHBEARER\x00\xff\xff\xff\xff") + startuptest.Frame('p', "n,,\x01auth=Bearer x\x01\x01"),
		startuptest.Frame('p', "OAUTHBEARER\x00\x00\x00\x00\x09n,,"), startuptest.Frame('p', "OAUTHBEARER"),
	} {
		f.Add([]byte(seed), false, byte(0))
		f.Add([]byte(seed), true, byte(9))
	}
	f.Fuzz(func(t *testing.T, stream []byte, oauth bool, step byte) {
		conn := startuptest.New(stream, int(step))
		s := newHandler(Config{LoginTimeout: time.Minute, Log: slog.New(slog.DiscardHandler)}).newSession(conn)
		s.login.method = AuthPassword
		if oauth {
			s.login.method = AuthOAuth
		}
		secret, err := s.ask()
		if err != nil {
			wantTellable(t, err)
			if secret != "" {
				t.Errorf("with the error %v came %q", err, secret)
			}
			return
		}
		if len(secret) > startup.MaxPassword || strings.Contains(secret, "\x00") || !strings.Contains(string(stream), secret) {
			t.Errorf("the secret is %q", secret)
		}
		if messages, whole := startuptest.SplitMessages(conn.Answered()); !whole || len(messages) == 0 || len(messages) > 2 {
			t.Errorf("asked with %q", conn.Answered())
		}
	})
}

// The fuzzers' connection behaves as a net.Conn.
func TestScripted(t *testing.T) {
	conn := startuptest.New([]byte("abc"), 2)
	if got, err := io.ReadAll(conn); string(got) != "abc" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	conn.SetReadDeadline(socket.LongAgo)
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(refusal.ClientLeft(err), refusal.ErrLoginTimeout) {
		t.Errorf("after the deadline: %v", err)
	}
}
