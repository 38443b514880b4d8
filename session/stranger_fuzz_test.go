package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"gprxy/auth"
	"gprxy/auth/sso"
	"gprxy/pool"
	"gprxy/pool/wire"
	"gprxy/session/startup"
	"gprxy/session/startup/startuptest"
	"gprxy/store"
)

// faults fails the test when gprxy logs a fault of its own.
type faults struct{ slog.Handler }

func (f faults) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		panic(r.Message) // recoverFault has done its work already; here it is a failure
	}
	return nil
}

func (f faults) Enabled(context.Context, slog.Level) bool { return true }
func (f faults) WithAttrs([]slog.Attr) slog.Handler       { return f }

// strangersHandler is a whole handler with a real log and everything turned on,
// before which there is neither a PostgreSQL nor an issuer: nobody can get in.
func strangersHandler(tb testing.TB) *Handler {
	tb.Helper()
	logger := slog.New(faults{})
	log := filepath.Join(tb.TempDir(), "events.db")
	events, err := store.Open(tb.Context(), log, store.Options{Log: logger})
	if err != nil {
		tb.Fatal(err)
	}
	pools, err := pool.New(pool.Config{Host: "127.0.0.1", Port: 1, SSLMode: "disable"})
	if err != nil {
		tb.Fatal(err)
	}
	const issuer = "http://127.0.0.1:1"
	tokens, err := auth.NewVerifier(auth.VerifierConfig{Issuer: issuer, Audience: "gprxy"})
	if err != nil {
		tb.Fatal(err)
	}
	roles, err := auth.NewRoles(auth.RolesConfig{Mapping: map[string]auth.Login{"READER": {User: "app_reader", Password: "x"}}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx := context.WithoutCancel(tb.Context())
		tokens.Close()
		if err := errors.Join(pools.Close(ctx), events.Close(ctx)); err != nil {
			tb.Error(err)
		}
		checkStrangersLog(tb, ctx, log)
	})
	return newHandler(Config{
		TLS: localTLS(tb), Tokens: tokens, Roles: roles, OAuth: OAuth{Issuer: issuer, Scope: "openid"},
		Device:    Device{Max: 4, Login: refuseDevice},
		Passwords: PasswordService, Service: auth.Login{User: "gprxy_service", Password: "x"},
		Pools: pools, Events: events, StampSetting: true,
		LoginTimeout: 20 * time.Millisecond, Log: logger,
	})
}

func refuseDevice(_ context.Context, show func(sso.Prompt) error) (sso.Tokens, error) {
	if err := show(sso.Prompt{URL: "https://login.example.com", UserCode: "ABCD-EFGH", Expires: time.Now().Add(time.Second)}); err != nil {
		return sso.Tokens{}, err
	}
	return sso.Tokens{}, &sso.DeniedError{Issuer: "https://login.example.com", Code: "access_denied"}
}

// checkStrangersLog: all that the strangers left behind is whole, and over.
func checkStrangersLog(tb testing.TB, ctx context.Context, path string) {
	tb.Helper()
	log, err := store.OpenReader(ctx, path)
	if err != nil {
		tb.Error(err)
		return
	}
	defer log.Close()
	if _, err := log.Verify(ctx, nil); err != nil {
		tb.Error(err)
	}
	for s, err := range log.Sessions(ctx, store.SessionFilter{}) {
		if err != nil {
			tb.Error(err)
			return
		}
		if s.State != store.StateRefused && s.State != store.StateEnded {
			tb.Errorf("session %s is %s", s.Session, s.State)
		}
	}
}

// Whatever a stranger sends, nobody is let in, nothing breaks, and whoever was
// asked for something and waits for an answer gets one that a client can read.
func FuzzStranger(f *testing.F) {
	password := startuptest.Frame('p', "secret\x00")
	for _, seed := range startuptest.Seeds() {
		f.Add([]byte(seed), byte(0))
		f.Add([]byte(seed+password), byte(0xfd))
	}
	oauth := startuptest.Packet(startup.Protocol30, "user\x00alice\x00options\x00-c gprxy.auth=oauth\x00\x00")
	f.Add([]byte(oauth+startuptest.Frame('p', "OAUTHBEARER\x00\x00\x00\x00\x09n,,\x01auth=\x01\x01")+startuptest.Frame('p', "\x01")),
		byte(0xfd))
	f.Add([]byte(oauth+startuptest.Frame('p', "OAUTHBEARER\x00\xff\xff\xff\xff")+startuptest.Frame('p',
		"n,,\x01auth=Bearer e30.e30.\x01\x01")), byte(0xfd))
	f.Add([]byte(startuptest.Packet(startup.Protocol32, "user\x00alice\x00gprxy.auth\x00device\x00_pq_.x\x00\x00\x00")), byte(0xfd))
	f.Add([]byte(startuptest.Packet(startup.Protocol30, "user\x00alice\x00\x00")+startuptest.Frame('p', "eyJhbGciOiJFUzI1NiJ9.e30.AAAA\x00")),
		byte(0xfd))
	secured := strangersHandler(f)
	plain := secured.Config
	plain.TLS = nil
	handlers := []*Handler{secured, newHandler(plain)}
	f.Fuzz(func(t *testing.T, stream []byte, mode byte) {
		conn := startuptest.New(stream, int(mode>>2))
		conn.Patient = mode&1 == 1
		h := handlers[mode>>1&1]
		h.ServeConn(t.Context(), conn)
		checkAnswers(t, conn.Answered(), h.TLS != nil)
		if conn.Patient && isAsked(conn.Answered()) && !isTold(conn.Answered()) && !impossibleLength.Match(stream) {
			t.Errorf("a client that waits was left with %q", conn.Answered())
		}
	})
}

func checkAnswers(t *testing.T, answers []byte, secured bool) {
	t.Helper()
	rest := bytes.TrimLeft(answers, "N")
	switch {
	case secured && len(rest) > 0 && (rest[0] == 'S' || rest[0] == 0x15):
		return // TLS follows, which this stranger cannot speak
	case bytes.HasPrefix(rest, []byte("EFATAL:  ")) && bytes.HasSuffix(rest, []byte("\n\x00")):
		return // protocol 2
	}
	messages, whole := startuptest.SplitMessages(rest)
	if !whole {
		t.Fatalf("answered %q", answers)
	}
	for i, m := range messages {
		last := i == len(messages)-1
		switch kind := m[0]; {
		case kind == 'E' && last && bytes.Contains(m, []byte("\x00C")):
		case kind == 'N' || kind == 'v':
		case kind == 'R' && isQuestion(m):
		default:
			t.Errorf("answered %q", answers)
		}
	}
}

// impossibleLength is that of a password message which does not even hold itself: PostgreSQL has no word for it.
var impossibleLength = regexp.MustCompile(`p\x00\x00\x00[\x00-\x03]`)

func isAsked(answers []byte) bool {
	messages, _ := startuptest.SplitMessages(bytes.TrimLeft(answers, "N"))
	return slices.ContainsFunc(messages, func(m []byte) bool { return m[0] == 'R' })
}

// isTold: the last message is an error, in whatever form; inside TLS nobody can tell.
func isTold(answers []byte) bool {
	rest := bytes.TrimLeft(answers, "N")
	messages, _ := startuptest.SplitMessages(rest)
	return len(messages) > 0 && messages[len(messages)-1][0] == 'E' ||
		bytes.HasPrefix(rest, []byte("E")) || bytes.HasPrefix(rest, []byte("S")) || bytes.HasPrefix(rest, []byte{0x15})
}

// isQuestion: a request for a password, SASL, its continuation, or the
// AuthenticationOk without which no client shows the notice of a device login.
func isQuestion(m []byte) bool {
	switch binary.BigEndian.Uint32(m[wire.HeaderSize:]) {
	case pgproto3.AuthTypeOk, pgproto3.AuthTypeCleartextPassword, pgproto3.AuthTypeSASL, pgproto3.AuthTypeSASLContinue:
		return true
	}
	return false
}
