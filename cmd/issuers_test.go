// gprxy login at issuers as they are, and what is said when they do not do what is asked.

package cmd

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gprxy/auth/authtest"
	"gprxy/auth/sso"
	"gprxy/cmd/settings"
)

// issuerAlone is an install without PostgreSQL, for what never gets as far.
func issuerAlone(t *testing.T, o authtest.Options) *install {
	t.Helper()
	binary, err := gprxyBinary()
	if err != nil {
		t.Fatal(err)
	}
	o.DeviceInterval = 100 * time.Millisecond
	return &install{t: t, binary: binary, issuer: authtest.Start(t, o), home: t.TempDir()}
}

// An issuer as Dex and those that follow the standard to the letter.
func TestLoginWithGroupsByScopeAndRenewalByConsent(t *testing.T) {
	t.Parallel()
	i := issuerAlone(t, authtest.Options{RolesScope: "groups", ConsentOnly: true})
	hint := `the token has no claim for roles. If the issuer gives groups for a scope, log in with it: OIDC_SCOPES="openid profile email offline_access groups" gprxy login`
	without := i.person(t, "OIDC_PROMPT=off")
	got := without.logIn("alice")
	for _, text := range []string{"(no roles)", "No roles: " + hint,
		"This login will not be renewed, because the issuer gave no refresh token, and OIDC_PROMPT=off keeps gprxy from asking for consent"} {
		if got.code != 0 || !strings.Contains(got.out+got.err, text) {
			t.Errorf("no %q in exit %d\n%s%s", text, got.code, got.out, got.err)
		}
	}
	without.expect(0, []string{"roles    none\n", hint, ", not renewed, as the issuer gave no refresh token: log in again then\n"}, "",
		"whoami")

	p := i.person(t, "OIDC_SCOPES=openid, email,offline_access groups", "OIDC_SCOPE=none of ours")
	got = p.logIn("alice")
	if got.code != 0 || !strings.Contains(got.out, "alice@example.com (roles reader) until") || strings.Contains(got.err, "renewed") ||
		strings.Contains(got.err, "No roles") {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	p.expect(0, []string{"roles    reader\n", "renewed when needed"}, "", "whoami")
	if n := i.issuer.Grants("authorization_code"); n != 3 {
		t.Errorf("%d codes were used, want 1, and 2 for the renewal", n)
	}
	if again := p.logIn("bob"); again.code != 0 || !strings.Contains(again.out, "(roles writer)") {
		t.Errorf("exit %d\n%s%s", again.code, again.out, again.err)
	}
	if n := i.issuer.Grants("authorization_code"); n != 4 {
		t.Errorf("%d codes were used: the issuer's habit was forgotten", n)
	}
	old := i.person(t, "OAUTH_SCOPE=email groups")
	if got := old.logIn("alice"); got.code != 0 || !strings.Contains(got.out, "(roles reader)") ||
		!strings.Contains(got.err, "because OIDC_SCOPES does not have offline_access") {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	unknown := i.person(t, "OIDC_SCOPES=openid departments")
	if got := unknown.logIn("alice"); got.code != 1 || !strings.Contains(got.err, "OIDC_SCOPES") ||
		!strings.Contains(got.err, "invalid_scope") {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
}

func TestATokenWithoutRolesIsExplained(t *testing.T) {
	t.Parallel()
	i := issuerAlone(t, authtest.Options{})
	bare := i.person(t, "GPRXY_TOKEN="+i.issuer.Token(authtest.Claims{"email": "ci@example.com"}))
	bare.expect(0, []string{"the token has no claim for roles: whoever asks the issuer", ", not renewed\n"}, "", "whoami")
	empty := i.person(t, "GPRXY_TOKEN="+i.issuer.Token(authtest.Claims{"email": "ci@example.com", "roles": []string{}}))
	if got := empty.expect(0, []string{"roles    none\n"}, "", "whoami"); strings.Contains(got.out, "claim") {
		t.Errorf("an empty list is told as a missing claim:\n%s", got.out)
	}
	named := i.person(t, "ROLES_CLAIM=realm_access.roles", "GPRXY_TOKEN="+i.issuer.Token(authtest.Claims{"roles": []string{}}))
	named.expect(0, []string{"the token has no claim realm_access.roles (ROLES_CLAIM)"}, "", "whoami")
}

func TestWhatTheIssuerDoesNotOffer(t *testing.T) {
	t.Parallel()
	i := issuerAlone(t, authtest.Options{Without: []string{authtest.DeviceCodePath}, Announced: []string{authtest.DeviceCodePath}})
	for _, test := range []struct {
		name, issuer string
		args         []string
		says         []string
	}{
		{"device grant that answers 404", i.issuer.URL(), []string{"login", "--device"},
			[]string{"offers no login on another device", "answered 404", "without --device"}},
		{"another path", i.issuer.URL() + "/realms/corp", []string{"login", "--no-browser"},
			[]string{"OIDC_ISSUER", "there is no issuer", "answered 404"}},
		{"another name", strings.Replace(i.issuer.URL(), "127.0.0.1", "localhost", 1), []string{"login", "--no-browser"},
			[]string{"OIDC_ISSUER", "calls itself", i.issuer.URL()}},
	} {
		p := i.person(t)
		p.env = append(without(p.env, "OIDC_ISSUER"), "OIDC_ISSUER="+test.issuer)
		got := p.expect(1, test.says, "", test.args...)
		for _, misled := range []string{"cannot reach", "cannot be reached", "VPN"} {
			if strings.Contains(got.err, misled) {
				t.Errorf("%s is told as %q:\n%s", test.name, misled, got.err)
			}
		}
	}
}

func TestBusyCallbackPorts(t *testing.T) {
	t.Parallel()
	i := issuerAlone(t, authtest.Options{})
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, free, _ := net.SplitHostPort(closedPort(t))
	p := i.person(t, fmt.Sprintf("CALLBACK_URL=http://%s/callback,http://127.0.0.1:%s/callback", busy.Addr(), free))
	cmd := p.command("login", "--no-browser")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := p.visit(stderr, "alice")
	if err := cmd.Wait(); err != nil || !strings.Contains(said,
		"Port of CALLBACK_URL not used: "+busy.Addr().String()+", another program uses the port") {
		t.Errorf("%v\n%s", err, said)
	}
	alone := i.person(t, "CALLBACK_URL=http://"+busy.Addr().String()+"/callback")
	alone.expect(1, []string{"cannot listen on " + busy.Addr().String(), "another program", "CALLBACK_URL, which takes several"}, "", "login",
		"--no-browser")
}

// The working directory may be somebody else's: what its .env chooses is said, and JSON stays JSON.
func TestWhatAnEnvFileChoosesIsSaid(t *testing.T) {
	t.Parallel()
	i := issuerAlone(t, authtest.Options{})
	p := i.person(t)
	if got := p.logIn("alice"); got.code != 0 || strings.Contains(got.err, ".env") {
		t.Fatalf("%+v", got)
	}
	file := filepath.Join(p.home, ".env")
	write(t, file, "OIDC_ISSUER="+i.issuer.URL()+"\nAUDIENCE=\nEVENT_LOG="+filepath.Join(p.home, "their.db")+"\n")
	if got := p.expect(0, nil, "", "whoami"); strings.Contains(got.err, ".env") {
		t.Errorf("the environment chooses, but it is said:\n%s", got.err)
	}
	p.env = without(p.env, "OIDC_ISSUER")
	want := file + " chooses the login: OIDC_ISSUER=" + i.issuer.URL() + "\n"
	for _, args := range [][]string{{"whoami", "--json"}, {"token"}, {"logout"}, {"login", "--port", "x"}} {
		got := p.run("", args...)
		if got.err != want && args[0] != "login" && args[0] != "logout" || !strings.HasPrefix(got.err, want) ||
			strings.Count(got.err, ".env") != 1 {
			t.Errorf("gprxy %s says %q, want %q first", args, got.err, want)
		}
		var line whoamiLine
		if args[0] == "whoami" && json.Unmarshal([]byte(got.out), &line) != nil {
			t.Errorf("no JSON: %s", got.out)
		}
	}
	log := "the event log is " + filepath.Join(p.home, "their.db") + ", as EVENT_LOG in " + file + " says"
	for _, args := range [][]string{{"sessions"}, {"audit", "--json"}, {"audit", "verify", "--json"}, {"audit", "report"}} {
		got := p.run("", args...)
		if strings.Count(got.err, log) != 1 || got.out != "" {
			t.Errorf("gprxy %s says %q and %q, want %q", args, got.err, got.out, log)
		}
	}
	chosen := p.run("", "sessions", "--event-log", filepath.Join(p.home, "mine.db"))
	if strings.Contains(chosen.err, ".env") {
		t.Errorf("the flag chooses, but it is said:\n%s", chosen.err)
	}
	given := i.person(t, "GPRXY_TOKEN="+i.issuer.Token(nil))
	given.env = without(given.env, "OIDC_ISSUER")
	write(t, filepath.Join(given.home, ".env"), "OIDC_ISSUER="+i.issuer.URL()+"\n")
	if got := given.expect(0, nil, "", "token"); got.err != "" {
		t.Errorf("no login is chosen, but it is said:\n%s", got.err)
	}
}

func TestScopesOfTheProxy(t *testing.T) {
	token := []string{"HOME=/home/u", "OIDC_ISSUER=https://login.example.com/", "AUDIENCE=a", "ROLE_MAPPING_READER=r:pw",
		"PASSWORD_LOGIN=off", "DEVICE_LOGIN=on", "OIDC_CLIENT_ID=c"}
	for _, row := range []struct{ variable, want, wrong string }{
		{"", "openid profile email", ""},
		{"OIDC_SCOPES=openid email groups offline_access", "openid email groups", ""},
		{"OAUTH_SCOPE=email, groups", "openid email groups", ""},
		{"OIDC_SCOPES=openid \"groups\"", "", "which is no scope"},
	} {
		s, _, err := settings.Load(settings.Sources{Variables: append(token, row.variable), Dir: t.TempDir()})
		if row.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), row.wrong) {
				t.Errorf("%s: %v", row.variable, err)
			}
			continue
		}
		if got := strings.Join(s.SignOn.Scopes, " "); err != nil || got != row.want {
			t.Errorf("%s asks for %q, %v; want %q", row.variable, got, err, row.want)
		}
	}
	_, _, err := settings.Load(settings.Sources{Variables: append(token, "OIDC_SCOPES=openid", "OAUTH_SCOPE=groups"), Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "OIDC_SCOPES and OAUTH_SCOPE differ") {
		t.Errorf("two names, two values: %v", err)
	}
	s, err := loadPerson(t, []string{"OAUTH_SCOPE=openid groups"}, "", "--oidc-prompt", "login")
	if err != nil || strings.Join(s.login.Scopes, " ") != "openid groups" || s.login.Prompt != "login" ||
		s.login.Habits != sso.HabitsBeside("/home/u/.gprxy/credentials") {
		t.Errorf("a person's settings: %+v, %v", s, err)
	}
	if _, err := loadPerson(t, []string{"OIDC_PROMPT=none"}, ""); err == nil || !strings.Contains(err.Error(), "means nothing here") {
		t.Errorf("OIDC_PROMPT=none: %v", err)
	}
}
