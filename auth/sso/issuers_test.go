// Issuers as they are: groups for a scope, renewal for consent, browsers that cannot come back.

package sso_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gprxy/auth/authtest"
	"gprxy/auth/sso"
)

func TestGroupsByScope(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{RolesScope: "groups"})
	c := configFor(iss)
	if got := login(t, iss, c); len(got.Roles) != 0 || got.RoleClaim("") {
		t.Errorf("without the scope: roles %q, a role claim: %v", got.Roles, got.RoleClaim(""))
	}
	c.Scopes = []string{"email", "groups"}
	b := newBrowser(iss, "alice")
	got, err := sso.LoginBrowser(short(t), c, b.show)
	if err != nil {
		t.Fatal(err)
	}
	b.wait(t)
	if scope := parameter(t, b.address, "scope"); scope != "openid email groups" {
		t.Errorf("asked for the scopes %q", scope)
	}
	if !slices.Equal(got.Roles, []string{"reader"}) || !got.RoleClaim("") || got.Refresh != "" {
		t.Errorf("with the scope: roles %q, a role claim: %v, a refresh token: %v", got.Roles, got.RoleClaim(""), got.Refresh != "")
	}
	got, err = sso.LoginDevice(short(t), c, func(p sso.Prompt) error { return iss.Approve(p.UserCode, "bob") })
	if err != nil || !slices.Equal(got.Roles, []string{"writer"}) {
		t.Errorf("on another device: roles %q, %v", got.Roles, err)
	}
	c.Scopes = []string{"openid", "departments"}
	b = newBrowser(iss, "alice")
	_, err = sso.LoginBrowser(short(t), c, b.show)
	requireError[*sso.ConfigError](t, err, []string{"OIDC_SCOPES", "openid departments", "invalid_scope", "allow them"})
	b.wait(t)
}

func parameter(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

// A person's browser that is sent on to the issuer a second time logs in there again.
type persistent struct {
	*browser
	visits []string // addresses of the issuer
	again  string   // who logs in the second time; "" presses Cancel
	landed chan visit
}

func newPersistent(iss *authtest.Issuer, first, again string) *persistent {
	return &persistent{browser: newBrowser(iss, first), again: again, landed: make(chan visit, 1)}
}

func (p *persistent) show(address string) error {
	p.visits = append(p.visits, address)
	back, err := p.iss.Visit(address, p.login)
	if err != nil {
		return err
	}
	p.back = back
	go func() { p.landed <- p.follow(back) }()
	return nil
}

// follow goes where the callback says, which is a page or the issuer.
func (p *persistent) follow(back string) visit {
	first := peekPage(back)
	next := first.header.Get("Location")
	if next == "" {
		return first
	}
	p.visits = append(p.visits, next)
	again, err := p.iss.Visit(next, p.again)
	if err != nil {
		return visit{err: err}
	}
	return peekPage(again)
}

func TestRefreshTokenForConsentAlone(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{ConsentOnly: true})
	c := configFor(iss)
	c.Habits = sso.HabitsBeside(filepath.Join(t.TempDir(), "own", "credentials"))
	logIn := func(c sso.Config, again string) (sso.Tokens, *persistent, visit) {
		t.Helper()
		p := newPersistent(iss, "alice", again)
		tokens, err := sso.LoginBrowser(short(t), c, p.show)
		if err != nil {
			t.Fatal(err)
		}
		return tokens, p, <-p.landed
	}
	prompts := func(p *persistent) (list []string) {
		for _, address := range p.visits {
			list = append(list, parameter(t, address, "prompt"))
		}
		return list
	}

	off := c
	off.Prompt = sso.PromptOff
	if tokens, p, _ := logIn(off, "alice"); tokens.Refresh != "" || !slices.Equal(prompts(p), []string{""}) {
		t.Errorf("with OIDC_PROMPT=off: prompts %q, a refresh token: %v", prompts(p), tokens.Refresh != "")
	}
	// The person does not consent: they are logged in all the same, and are asked the next time, too.
	for range 2 {
		tokens, p, seen := logIn(c, "")
		if tokens.Refresh != "" || tokens.User != "alice@example.com" || !slices.Equal(prompts(p), []string{"", "consent"}) ||
			!strings.Contains(seen.page, "You are logged in") {
			t.Errorf("refused consent: %q, prompts %q, the browser saw %d %s", tokens.User, prompts(p), seen.status, seen.page)
		}
	}
	tokens, p, seen := logIn(c, "alice")
	if tokens.Refresh == "" || !slices.Equal(prompts(p), []string{"", "consent"}) || !strings.Contains(seen.page, "You are logged in") {
		t.Errorf("the first login: prompts %q, a refresh token: %v, the browser saw %d", prompts(p), tokens.Refresh != "", seen.status)
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if a, b := parameter(t, p.visits[0], name), parameter(t, p.visits[1], name); a == b || b == "" {
			t.Errorf("the second visit has the same %s", name)
		}
	}
	if fresh, err := sso.Refresh(short(t), c, tokens); err != nil || fresh.Refresh == "" {
		t.Errorf("it cannot be renewed: %v", err)
	}
	if tokens, p, _ := logIn(c, "alice"); tokens.Refresh == "" || !slices.Equal(prompts(p), []string{"consent"}) {
		t.Errorf("the next login: prompts %q, a refresh token: %v", prompts(p), tokens.Refresh != "")
	}
	if data, err := os.ReadFile(c.Habits.Path); err != nil || !strings.Contains(string(data), `"consent": "needed"`) ||
		strings.Contains(string(data), "eyJ") {
		t.Errorf("remembered: %s, %v", data, err)
	}
	chosen := c
	chosen.Prompt = "login  consent"
	if _, p, _ := logIn(chosen, "alice"); !slices.Equal(prompts(p), []string{"login consent"}) {
		t.Errorf("with OIDC_PROMPT set: prompts %q", prompts(p))
	}
	other := c
	other.Scopes = []string{"openid", "email"} // no refresh token is asked for
	if _, p, _ := logIn(other, "alice"); !slices.Equal(prompts(p), []string{""}) {
		t.Errorf("without offline_access: prompts %q", prompts(p))
	}
}

// An issuer that gives no refresh token either way is asked for consent once and not each time.
func TestConsentThatIsOfNoUse(t *testing.T) {
	s := newStub(t)
	c := s.config()
	c.Habits = sso.HabitsBeside(filepath.Join(t.TempDir(), "own", "credentials"))
	var shown []string
	for n := range 2 {
		shown = nil
		nonce := ""
		s.answers["/token"] = func(url.Values) (int, any) {
			return 200, map[string]any{"access_token": s.sign(nil, nil), "id_token": s.idToken(authtest.Claims{"nonce": nonce, "aud": "cli"}),
				"expires_in": 60}
		}
		var visit func(address string) error
		visit = func(address string) error {
			shown = append(shown, parameter(t, address, "prompt"))
			nonce = parameter(t, address, "nonce")
			back := parameter(t, address, "redirect_uri") + "?code=x&state=" + parameter(t, address, "state")
			go func() {
				if next := peekPage(back).header.Get("Location"); next != "" {
					_ = visit(next)
				}
			}()
			return nil
		}
		if _, err := sso.LoginBrowser(short(t), c, visit); err != nil {
			t.Fatal(err)
		}
		if want := [][]string{{"", "consent"}, {""}}[n]; !slices.Equal(shown, want) {
			t.Errorf("login %d went with the prompts %q, want %q", n, shown, want)
		}
	}
}

// The browser is on another machine: what it ends at is pasted.
func TestPastedAddress(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{LongCodes: true, ConsentOnly: true})
	c := configFor(iss)
	pasted := make(chan string, 20)
	var problems []string
	c.Paste = func(ctx context.Context, problem string) (string, error) {
		problems = append(problems, problem)
		select {
		case text := <-pasted:
			return text, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	var addresses []string
	tokens, err := sso.LoginBrowser(short(t), c, func(address string) error {
		addresses = append(addresses, address)
		back, err := iss.Visit(address, "alice")
		if err != nil {
			return err
		}
		if len(addresses) == 1 {
			pasted <- address
			pasted <- "http://evil.example.com/" + back[strings.Index(back, "?"):]
			pasted <- strings.Replace(back, "state=", "state=x", 1)
			pasted <- parameter(t, back, "code")
			pasted <- back[:strings.Index(back, "?")]
			pasted <- back + strings.Repeat("x", 1<<20)
			pasted <- back + "&code=y"
		}
		pasted <- "  \"" + strings.TrimPrefix(back, "http://") + "#_=_\"\r"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	requireGood(t, iss, "gprxy", tokens)
	if len(addresses) != 2 || tokens.Refresh == "" {
		t.Errorf("%d addresses were shown; a refresh token: %v", len(addresses), tokens.Refresh != "")
	}
	want := []string{"", "not where the browser ends", "not where the browser ends", "another login", "not where the browser ends",
		"not the whole address", "longer than", "not the whole address", ""}
	if len(problems) != len(want) {
		t.Fatalf("problems %q", problems)
	}
	for n, words := range want {
		if !strings.Contains(problems[n], words) || words == "" && problems[n] != "" {
			t.Errorf("problem %d is %q, want %q", n, problems[n], words)
		}
	}
	requireNoSecret(t, strings.Join(problems, " "), parameter(t, addresses[0], "state"))
	if n := iss.Grants("authorization_code"); n != 2 {
		t.Errorf("%d codes were used, want 2", n)
	}
	requireNobodyListens(t, parameter(t, addresses[0], "redirect_uri"))
}

// Whichever way the answer comes first counts; asking for the other way ends.
func TestPasteAndBrowser(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	c := configFor(iss)
	asked := false
	c.Paste = func(ctx context.Context, _ string) (string, error) { asked = true; <-ctx.Done(); return "", ctx.Err() }
	login(t, iss, c)
	if !asked {
		t.Error("nobody was asked")
	}
	c.Paste = func(context.Context, string) (string, error) { return "", errors.New("no terminal any more") }
	login(t, iss, c)

	refusing := configFor(iss)
	var back string
	refusing.Paste = func(context.Context, string) (string, error) { return back, nil }
	_, err := sso.LoginBrowser(short(t), refusing, func(address string) (err error) { back, err = iss.Visit(address, ""); return err })
	requireError[*sso.DeniedError](t, err, []string{"refused", "the person cancelled"})
}

func TestSeveralCallbackPorts(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{})
	var ports []int
	var held []net.Listener
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		held, ports = append(held, l), append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	c := configFor(iss)
	c.Port = -1
	c.CallbackURL = fmt.Sprintf("http://127.0.0.1:%d/callback, http://localhost:%d/callback,http://127.0.0.1:%d/callback", ports[0], ports[1],
		ports[2])
	_, err := sso.LoginBrowser(short(t), c, nil)
	requireError[*sso.PortError](t, err, []string{"any address of CALLBACK_URL", fmt.Sprint(ports[0]), fmt.Sprint(ports[1]),
		fmt.Sprint(ports[2]), "another program", "several with commas"})

	var busy []string
	c.Busy = func(e *sso.PortError) { busy = append(busy, e.Address) }
	_ = held[2].Close()
	b := newBrowser(iss, "alice")
	if _, err := sso.LoginBrowser(short(t), c, b.show); err != nil {
		t.Fatal(err)
	}
	b.wait(t)
	if want := []string{held[0].Addr().String(), held[1].Addr().String()}; !slices.Equal(busy, want) ||
		!strings.Contains(b.back, fmt.Sprint(ports[2])) {
		t.Errorf("told of %q, want %q; the browser came back to %s", busy, want, b.back[:strings.Index(b.back, "?")])
	}
}

// What answers, but not as asked, is not told as a network that is down.
func TestAnswersThatAreNoOutage(t *testing.T) {
	iss := authtest.Start(t, authtest.Options{Path: "/realms/corp", Without: []string{authtest.DeviceCodePath},
		Announced: []string{authtest.DeviceCodePath}})
	c := configFor(iss)
	_, err := sso.LoginDevice(short(t), c, nil)
	e := requireError[*sso.UnsupportedError](t, err, []string{"offers no login on another device", "answered 404", "without --device"})
	for _, misled := range []string{"cannot reach", "network", "VPN"} {
		if strings.Contains(e.Error(), misled) {
			t.Errorf("the error says %q: %v", misled, e)
		}
	}
	c.Issuer = strings.TrimSuffix(iss.URL(), "/realms/corp")
	_, err = sso.LoginBrowser(short(t), c, nil)
	requireError[*sso.ConfigError](t, err, []string{"OIDC_ISSUER", "there is no issuer", "404", "/realms/NAME"})

	s := newStub(t)
	s.answers["/device"] = func(url.Values) (int, any) {
		return 400, map[string]any{"error": "unauthorized_client", "error_description": "not enabled"}
	}
	_, err = sso.LoginDevice(short(t), s.config(), nil)
	requireError[*sso.UnsupportedError](t, err, []string{"unauthorized_client", "not enabled", `"cli"`})
}
