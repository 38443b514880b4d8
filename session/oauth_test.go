package session_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/session"
)

func offerOAuth(o *options) {
	o.session.OAuth = session.OAuth{Issuer: issuer.URL(), Scope: "openid email"}
}

// initialResponse is what libpq 18 sends (fe-auth-oauth.c, client_initial_response).
func initialResponse(auth string) string {
	data := "n,,\x01auth=" + auth + "\x01\x01"
	return message('p', "OAUTHBEARER\x00"+string(binary.BigEndian.AppendUint32(nil, uint32(len(data))))+data)
}

// OAUTHBEARER byte for byte as libpq 18 speaks it.
func TestOAuthBearerOnTheWire(t *testing.T) {
	t.Parallel()
	p := startProxy(t, offerOAuth, func(o *options) { o.session.ClientAuth = session.AuthOAuth })
	start := func(t *testing.T, sent string) (read func() received, write func(string)) {
		conn := dial(t, p.addr)
		send(t, conn, startupPacket(3<<16, "user", "bob", "database", database))
		if m := receive(t, conn); m.kind != 'R' || m.body != "\x00\x00\x00\x0aOAUTHBEARER\x00\x00" {
			t.Fatalf("got %v, want the one mechanism", m)
		}
		send(t, conn, sent)
		return func() received { return receive(t, conn) }, func(s string) { send(t, conn, s) }
	}
	t.Run("a good token", func(t *testing.T) {
		read, _ := start(t, initialResponse("Bearer "+token("bob@example.com", "reader")))
		if m := read(); m.kind != 'R' || m.body != "\x00\x00\x00\x00" {
			t.Fatalf("got %v, want AuthenticationOk without more SASL", m)
		}
		if s := p.sessions()[0]; s.AuthMethod != auth.MethodOAuth || s.User != "bob@example.com" || s.ServiceAccount != "app_reader" {
			t.Errorf("session %+v", s)
		}
	})
	for name, value := range map[string]string{
		"the question where to log in": "",
		"an expired token":             "Bearer " + issuer.Token(authtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()}),
		"garbage":                      "Bearer garbage",
		"another scheme":               "Basic dXNlcjpwYXNz",
	} {
		t.Run(name, func(t *testing.T) {
			failures := len(p.records("auth.failed"))
			read, write := start(t, initialResponse(value))
			m := read()
			if m.kind != 'R' || m.body[:4] != "\x00\x00\x00\x0b" {
				t.Fatalf("got %v, want AuthenticationSASLContinue", m)
			}
			var answer struct {
				Status, Scope string
				Document      string `json:"openid-configuration"`
			}
			if err := json.Unmarshal([]byte(m.body[4:]), &answer); err != nil || answer.Status != "invalid_token" ||
				answer.Scope != "openid email" || answer.Document != issuer.URL()+"/.well-known/openid-configuration" {
				t.Errorf("answer %+v, %v", answer, err)
			}
			write(message('p', "\x01"))
			if m := read(); m.kind != 'E' || m.field('C') != "28000" {
				t.Errorf("got %v", m)
			}
			recorded := len(p.records("auth.failed")) - failures
			if want := min(len(value), 1); recorded != want {
				t.Errorf("%d failed logins recorded, want %d", recorded, want)
			}
		})
	}
	for name, sent := range map[string]string{
		"another mechanism":  strings.Replace(initialResponse("Bearer "+token("bob@example.com", "reader")), "OAUTHBEARER", "0AUTHBEARER", 1),
		"a password":         message('p', "secret\x00"),
		"no length":          message('p', "OAUTHBEARER\x00\x00"),
		"no mechanism's end": message('p', "OAUTHBEARER"),
		"no data, and data":  message('p', "OAUTHBEARER\x00\xff\xff\xff\xffn,,\x01auth=\x01\x01"),
		"a length that lies": message('p', "OAUTHBEARER\x00\x00\x00\xff\xffn,,\x01"),
		"channel binding":    message('p', "OAUTHBEARER\x00\x00\x00\x00\x0ep=tls,,\x01auth=\x01\x01"),
		"no auth":            message('p', "OAUTHBEARER\x00\x00\x00\x00\x05n,,\x01\x01"),
		"two auths":          message('p', "OAUTHBEARER\x00\x00\x00\x00\x11n,,\x01auth=\x01auth=\x01\x01"),
		"no end":             message('p', "OAUTHBEARER\x00\x00\x00\x00\x09n,,\x01auth="),
		"a NUL":              message('p', "OAUTHBEARER\x00\x00\x00\x00\x0cn,,\x01auth=\x00\x01\x01"),
	} {
		t.Run(name, func(t *testing.T) {
			read, _ := start(t, sent)
			if m := read(); m.kind != 'E' || m.field('C') != "08P01" {
				t.Errorf("got %v, want 08P01", m)
			}
		})
	}
	t.Run("another person's name", func(t *testing.T) {
		read, _ := start(t, message('p', "OAUTHBEARER\x00\x00\x00\x00\x10n,a=eve,\x01auth=\x01\x01"))
		if m := read(); m.kind != 'E' || m.field('C') != "0A000" {
			t.Errorf("got %v, want 0A000", m)
		}
	})
	t.Run("a response without data first", func(t *testing.T) {
		read, write := start(t, message('p', "OAUTHBEARER\x00\xff\xff\xff\xff"))
		if m := read(); m.kind != 'R' || m.body != "\x00\x00\x00\x0b" {
			t.Fatalf("got %v, want an empty AuthenticationSASLContinue", m)
		}
		write(message('p', "n,,\x01auth=Bearer "+token("bob@example.com", "reader")+"\x01\x01"))
		if m := read(); m.kind != 'R' || m.body != "\x00\x00\x00\x00" {
			t.Errorf("got %v, want AuthenticationOk", m)
		}
	})
}

// A driver's own OAUTHBEARER, chosen by the client among password logins.
func TestOAuthBearerWithPgx(t *testing.T) {
	t.Parallel()
	p := startProxy(t, offerOAuth)
	connectWith := func(token string) (*pgx.Conn, error) {
		config := mustParse(t, p.dsn("bob", "", "options=-c gprxy.auth=oauth -c work_mem=3MB"))
		config.OAuthTokenProvider = func(ctx) (string, error) { return token, nil }
		return pgx.ConnectConfig(t.Context(), config)
	}
	conn, err := connectWith(token("bob@example.com", "reader"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if got := ask[string](t, conn, "select current_user || ' ' || current_setting('work_mem')"); got != "app_reader 3MB" {
		t.Errorf("got %s", got)
	}
	_, err = connectWith(issuer.Token(authtest.Claims{"exp": 1}))
	if err == nil || !strings.Contains(err.Error(), "invalid_token") {
		t.Errorf("an expired token: %v", err)
	}
}

func TestClientsChooseWhatTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	p := startProxy(t, offerOAuth, func(o *options) { o.session.ClientAuth = session.AuthOAuth })
	conn := connect(t, p.dsn("alice", alicePassword, "options=--gprxy.auth=password"))
	if got := ask[string](t, conn, "select current_setting('gprxy.user')"); got != "alice" {
		t.Errorf("got %s", got)
	}
	for parameter, code := range map[string]string{
		"options=-c gprxy.auth=magic":  "22023",
		"options=-c gprxy.auth=device": "0A000",
		"gprxy.auth=device":            "0A000",
		"options=-c gprxy.other=x":     "42501",
	} {
		if answer := refused(t, p.dsn("alice", alicePassword, parameter)); answer.Code != code || answer.Hint == "" {
			t.Errorf("%s: %+v", parameter, answer)
		}
	}
}

// Tokens do not cross a network in the clear, whatever REQUIRE_TLS says.
func TestOAuthNeedsTLSFromElsewhere(t *testing.T) {
	t.Parallel()
	p := startProxy(t, offerOAuth, elsewhere, func(o *options) {
		o.session.ClientAuth = session.AuthOAuth
		o.session.RequireTLS = session.TLSNever
	})
	conn := dial(t, p.addr)
	send(t, conn, startupPacket(3<<16, "user", "bob", "database", database))
	wantFatal(t, conn, "28000")
}

// A client that insists on SCRAM gives up by itself.
func TestAClientThatInsistsOnScram(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	config := mustParse(t, p.dsn("alice", alicePassword))
	config.RequireAuth = "scram-sha-256"
	if _, err := pgx.ConnectConfig(t.Context(), config); err == nil {
		t.Error("it was let in")
	} else if _, ok := errors.AsType[*pgconn.PgError](err); ok {
		t.Errorf("the refusal is the server's: %v", err)
	}
	eventually(t, "the end is recorded", 20*time.Second, func() bool {
		s := p.sessions()
		return len(s) == 1 && s[0].EndReason == "left_before_login"
	})
}
