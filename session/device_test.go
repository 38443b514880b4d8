package session_test

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/auth/sso"
	"gprxy/session"
)

// deviceIssuer is an issuer whose device grant is quick enough for tests.
func deviceIssuer(t *testing.T, o authtest.Options) *authtest.Issuer {
	t.Helper()
	o.DeviceInterval = 10 * time.Millisecond
	return authtest.Start(t, o)
}

// offerDevice lets clients log in with a browser at i, at most n at once.
func offerDevice(t *testing.T, i *authtest.Issuer, n int) func(*options) {
	t.Helper()
	verifier, err := auth.NewVerifier(auth.VerifierConfig{Issuer: i.URL(), Audience: i.Audience()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Close)
	client := sso.Config{Issuer: i.URL(), ClientID: authtest.DefaultClient, Audience: i.Audience()}
	return func(o *options) {
		o.session.Tokens = verifier
		o.session.Device = session.Device{
			Max: n,
			Login: func(c ctx, show func(sso.Prompt) error) (sso.Tokens, error) {
				return sso.LoginDevice(c, client, show)
			},
		}
	}
}

var userCode = regexp.MustCompile(`enter the code (\S+)`)

// browserClient connects as a plain driver would and calls seen with the code of
// the notice.
func browserClient(t *testing.T, p *proxy, seen func(code string)) (*pgx.Conn, error) {
	t.Helper()
	config := mustParse(t, p.dsn("somebody", "", "options=-c gprxy.auth=device"))
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if m := userCode.FindStringSubmatch(n.Message); m != nil {
			seen(m[1])
		}
	}
	return pgx.ConnectConfig(t.Context(), config)
}

func TestLoginWithTheBrowser(t *testing.T) {
	t.Parallel()
	i := deviceIssuer(t, authtest.Options{})
	p := startProxy(t, offerDevice(t, i, 40), func(o *options) { o.session.LoginTimeout = 2 * time.Second })
	t.Run("approved, later than a login may take", func(t *testing.T) {
		conn, err := browserClient(t, p, func(code string) {
			go func() {
				time.Sleep(2500 * time.Millisecond) // a person is slow: that is what is tested
				if err := i.Approve(code, "alice"); err != nil {
					t.Error(err)
				}
			}()
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if got := ask[string](t, conn, "select current_user::text"); got != "app_reader" {
			t.Errorf("current_user is %s", got)
		}
		if s := p.sessions()[0]; s.AuthMethod != auth.MethodDevice || !strings.HasPrefix(s.User, "alice") || s.ServiceAccount != "app_reader" {
			t.Errorf("session %+v", s)
		}
	})
	t.Run("denied", func(t *testing.T) {
		_, err := browserClient(t, p, func(code string) { i.Deny(code) })
		if err == nil || !strings.Contains(err.Error(), "28P01") {
			t.Errorf("ended with %v", err)
		}
		if failed := p.records("auth.failed"); len(failed) != 1 || !strings.Contains(string(failed[0].Detail), `"reason":"denied"`) {
			t.Errorf("recorded %v", failed)
		}
	})
	t.Run("nobody comes", func(t *testing.T) {
		short := deviceIssuer(t, authtest.Options{DeviceLife: 500 * time.Millisecond})
		p := startProxy(t, offerDevice(t, short, 10))
		if _, err := browserClient(t, p, func(string) {}); err == nil || !strings.Contains(err.Error(), "28P01") {
			t.Errorf("ended with %v", err)
		}
		if failed := p.records("auth.failed"); len(failed) != 1 || !strings.Contains(string(failed[0].Detail), `"reason":"code_expired"`) {
			t.Errorf("recorded %v", failed)
		}
	})
	t.Run("the issuer has no device grant", func(t *testing.T) {
		none := deviceIssuer(t, authtest.Options{Without: []string{authtest.DeviceCodePath}, Announced: []string{authtest.DeviceCodePath}})
		p := startProxy(t, offerDevice(t, none, 10))
		_, err := browserClient(t, p, func(string) { t.Error("a code was shown") })
		if err == nil || !strings.Contains(err.Error(), "0A000") || !strings.Contains(err.Error(), "do not work with the identity provider") {
			t.Errorf("ended with %v", err)
		}
		if refused := p.records("session.refused"); len(refused) != 1 || !strings.Contains(string(refused[0].Detail),
			`"reason":"device_unsuited"`) {
			t.Errorf("recorded %v", refused)
		}
	})
	t.Run("the issuer is away", func(t *testing.T) {
		i.SetMode(authtest.Down)
		defer i.SetMode(authtest.Up)
		if _, err := browserClient(t, p, func(string) {}); err == nil || !strings.Contains(err.Error(), "57P03") {
			t.Errorf("ended with %v", err)
		}
	})
}

// startDevice begins a login by hand and returns when the code has come.
func startDevice(t *testing.T, p *proxy) net.Conn {
	t.Helper()
	conn := dial(t, p.addr)
	send(t, conn, startupPacket(3<<16, "user", "somebody", "database", database, "options", "-c gprxy.auth=device"))
	if m := receive(t, conn); m.kind != 'R' || m.body != "\x00\x00\x00\x00" {
		t.Fatalf("got %v, want AuthenticationOk: libpq shows no notice before it", m)
	}
	if m := receive(t, conn); m.kind != 'N' || !userCode.MatchString(m.field('M')) || m.field('H') == "" {
		t.Fatalf("got %v, want the notice", m)
	}
	return conn
}

// Leaving ends the wait and frees the place; more than may wait are refused.
func TestWaitingForTheBrowserIsLimited(t *testing.T) {
	t.Parallel()
	i := deviceIssuer(t, authtest.Options{})
	p := startProxy(t, offerDevice(t, i, 8)) // a quarter of them for one address
	first, second := startDevice(t, p), startDevice(t, p)
	refusedOne := dial(t, p.addr)
	send(t, refusedOne, startupPacket(3<<16, "user", "somebody", "database", database, "options", "-c gprxy.auth=device"))
	wantFatal(t, refusedOne, "53300")
	second.Close()
	eventually(t, "the end is recorded", 20*time.Second, func() bool {
		for _, s := range p.sessions() {
			if s.EndReason == "left_before_login" {
				return true
			}
		}
		return false
	})
	again := dial(t, p.addr)
	send(t, again, startupPacket(3<<16, "user", "somebody", "database", database, "options", "-c gprxy.auth=device"))
	wantFatal(t, again, "53300") // the place is kept for a while
	eventually(t, "the place is free", 20*time.Second, func() bool {
		conn := dial(t, p.addr)
		send(t, conn, startupPacket(3<<16, "user", "somebody", "database", database, "options", "-c gprxy.auth=device"))
		return receive(t, conn).kind == 'R'
	})
	first.Close()
}

// Who waits for the browser has a place of another kind, and takes none of those who log in.
func TestWaitingForTheBrowserTakesNoPlaceOfLogins(t *testing.T) {
	t.Parallel()
	i := deviceIssuer(t, authtest.Options{})
	p := startProxy(t, offerDevice(t, i, 8), limited(session.Limits{LoginsPerAddress: 1}))
	startDevice(t, p)
	if !asksForPassword(t, dial(t, p.addr)) {
		t.Error("another login finds no place")
	}
}

// A crowd is refused politely, and the proxy serves on.
func TestACrowdWaitsForTheBrowser(t *testing.T) {
	t.Parallel()
	i := deviceIssuer(t, authtest.Options{})
	p := startProxy(t, offerDevice(t, i, 20))
	var mu sync.Mutex // guards the counts
	shown, refusals := 0, map[string]int{}
	var crowd sync.WaitGroup
	for range 20 {
		crowd.Go(func() {
			for range 50 {
				conn, err := net.Dial("tcp", p.addr)
				if err != nil {
					t.Error(err)
					return
				}
				conn.SetDeadline(time.Now().Add(30 * time.Second))
				fmt.Fprint(conn, startupPacket(3<<16, "user", "x", "database", database, "options", "-c gprxy.auth=device"))
				m := receive(t, conn)
				mu.Lock()
				if m.kind == 'E' {
					refusals[m.field('C')]++
					conn.Close()
				} else {
					shown++
					defer conn.Close()
				}
				mu.Unlock()
			}
		})
	}
	crowd.Wait()
	if shown == 0 || shown+refusals["53300"] != 1000 {
		t.Errorf("%d were shown a code, refusals %v", shown, refusals)
	}
	conn := connect(t, p.dsn("alice", alicePassword))
	if got := ask[int](t, conn, "select 1"); got != 1 {
		t.Errorf("got %d", got)
	}
}

// A drain does not wait for people at their browsers.
func TestDrainWhileAPersonLogsIn(t *testing.T) {
	t.Parallel()
	i := deviceIssuer(t, authtest.Options{})
	p := startProxy(t, offerDevice(t, i, 8))
	conn := startDevice(t, p)
	p.handler.Drain()
	wantFatal(t, conn, "57P03")
}
