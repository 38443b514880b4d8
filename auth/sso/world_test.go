// What the tests share: an issuer, a browser, and errors that hold no secret.

package sso_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/auth/sso"
)

func TestMain(m *testing.M) {
	if child := os.Getenv("GPRXY_SSO_CHILD"); child != "" {
		os.Exit(runChild(child))
	}
	os.Exit(m.Run())
}

func configFor(iss *authtest.Issuer) sso.Config {
	return sso.Config{Issuer: iss.URL(), ClientID: authtest.DefaultClient, Audience: authtest.DefaultAudience, Port: 0}
}

// visit is what the person's browser saw.
type visit struct {
	status int
	page   string
	header http.Header
	err    error
}

// open goes to an address as a browser does, which follows what it is sent to.
func open(address string) visit {
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	response, err := client.Get(address)
	if err != nil {
		return visit{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return visit{response.StatusCode, string(body), response.Header, err}
}

// peekPage gets one address and follows nothing.
func peekPage(address string) visit {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(address)
	if err != nil {
		return visit{err: err, header: http.Header{}}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return visit{response.StatusCode, string(body), response.Header, err}
}

// browser logs in at the issuer as a person; change may tamper with the address it is sent back to.
type browser struct {
	iss    *authtest.Issuer
	login  string
	change func(back *url.URL)

	address string     // of the login page
	back    string     // where the issuer sent it
	seen    chan visit // the page at the end
}

func newBrowser(iss *authtest.Issuer, login string) *browser {
	return &browser{iss: iss, login: login, seen: make(chan visit, 1)}
}

// show is for LoginBrowser.
func (b *browser) show(address string) error {
	b.address = address
	back, err := b.iss.Visit(address, b.login)
	if err != nil {
		return err
	}
	u, err := url.Parse(back)
	if err != nil {
		return err
	}
	if b.change != nil {
		b.change(u)
	}
	b.back = u.String()
	go func() { b.seen <- open(b.back) }()
	return nil
}

func (b *browser) wait(t *testing.T) visit {
	t.Helper()
	select {
	case v := <-b.seen:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("the browser waits for its page for 20 s")
		return visit{}
	}
}

func set(name, value string) func(*url.URL) {
	return func(u *url.URL) {
		query := u.Query()
		query.Del(name)
		if value != "" {
			query.Set(name, value)
		}
		u.RawQuery = query.Encode()
	}
}

func short(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// login is a login that must work.
func login(t *testing.T, iss *authtest.Issuer, c sso.Config) sso.Tokens {
	t.Helper()
	b := newBrowser(iss, "alice")
	tokens, err := sso.LoginBrowser(short(t), c, b.show)
	if err != nil {
		t.Fatal(err)
	}
	b.wait(t)
	return tokens
}

// requireError requires an error of a kind whose text has these words, and none of the secrets.
func requireError[E error](t *testing.T, err error, words []string, secrets ...string) E {
	t.Helper()
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("got the error %T %v, want %T", err, err, e)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	requireNoSecret(t, err.Error(), secrets...)
	return e
}

func requireNoSecret(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if secret != "" && strings.Contains(text, secret) {
			t.Errorf("a secret stands in %q", text)
		}
	}
}

// requireGood requires that the proxy would take the tokens.
func requireGood(t *testing.T, iss *authtest.Issuer, audience string, tokens sso.Tokens) auth.Identity {
	t.Helper()
	v, err := auth.NewVerifier(auth.VerifierConfig{Issuer: iss.URL(), Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	id, err := v.Verify(t.Context(), tokens.Password().Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// waitFor waits for something that another goroutine does.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Errorf("waited 10 s for %s", what)
			return
		}
	}
}
