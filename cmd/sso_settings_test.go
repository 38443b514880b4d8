// The settings of login and its kin, and that docs/cli.md lists them.

package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gprxy/cmd/settings"
)

func loadPerson(t *testing.T, variables []string, dotenv string, args ...string) (*ssoSettings, error) {
	t.Helper()
	env := fixedEnvironment(t, append(variables, "HOME=/home/u")...)
	if dotenv != "" {
		write(t, filepath.Join(env.Dir, ".env"), dotenv)
	}
	o := &loginOptions{}
	fs := newFlagSet("login")
	o.flags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadSSO(&call{IO: IO{Err: t.Output()}, Environment: env, command: loginCommand(), set: fs})
}

func TestPersonsSettings(t *testing.T) {
	for _, row := range []struct {
		name      string
		variables []string
		dotenv    string
		args      []string
		want      string // issuer client audience callback connection proxy
		wrong     string
	}{
		{name: "nothing", want: "- - - http://localhost:8085/callback - -"},
		{name: "environment", variables: []string{"OIDC_ISSUER=https://a/", "OIDC_CLIENT_ID=c", "AUDIENCE=aud",
			"CALLBACK_URL=http://localhost:1/cb", "CONNECTION_NAME=n", "PROXY_URL=proxy:1"},
			want: "https://a/ c aud http://localhost:1/cb n proxy:1"},
		{name: "flag over environment over .env", variables: []string{"OIDC_CLIENT_ID=env", "AUDIENCE=env"},
			dotenv: "OIDC_CLIENT_ID=file\nAUDIENCE=file\nPROXY_URL=file\n", args: []string{"--oidc-client-id", "flag"},
			want: "- flag env http://localhost:8085/callback - file"},
		{name: "Auth0's names", variables: []string{"AUTH0_TENANT=x.auth0.com", "AUTH0_NATIVE_CLIENT_ID=c"},
			want: "https://x.auth0.com/ c - http://localhost:8085/callback - -"},
		{name: "two client ids", variables: []string{"OIDC_CLIENT_ID=a", "AUTH0_NATIVE_CLIENT_ID=b"},
			wrong: "OIDC_CLIENT_ID and AUTH0_NATIVE_CLIENT_ID differ"},
		{name: "two issuers", variables: []string{"AUTH0_TENANT=x.auth0.com", "OIDC_ISSUER=https://y/"}, wrong: "AUTH0_TENANT stands for"},
		{name: "issuer without TLS", variables: []string{"OIDC_ISSUER=http://y/"}, wrong: "which is not encrypted"},
		{name: "proxy with a password", variables: []string{"PROXY_URL=postgres://u:topsecret@h/d"}, wrong: "PROXY_URL holds a password"},
		{name: "an encrypted token", variables: []string{"GPRXY_TOKEN=eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..topsecret.Y2lwaGVy.dGFn"},
			wrong: "GPRXY_TOKEN is an encrypted token"},
		{name: "half a token", variables: []string{"GPRXY_TOKEN=Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.topsecret"},
			wrong: "GPRXY_TOKEN is only the beginning of a token"},
		{name: "a token that is none", variables: []string{"GPRXY_TOKEN=topsecret"}, wrong: "GPRXY_TOKEN is no token"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := loadPerson(t, row.variables, row.dotenv, row.args...)
			if row.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), row.wrong) || strings.Contains(err.Error(), "topsecret") {
					t.Errorf("error %v, want %s", err, row.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			l := s.login
			got := strings.Join([]string{first(l.Issuer, "-"), first(l.ClientID, "-"), first(l.Audience, "-"), l.CallbackURL,
				first(l.Connection, "-"), first(s.proxyURL, "-")}, " ")
			if got != row.want || l.Port != -1 || s.store.Path != "/home/u/.gprxy/credentials" {
				t.Errorf("got  %s, port %d, %s\nwant %s", got, l.Port, s.store.Path, row.want)
			}
		})
	}
}

func TestATokenInTheEnvironmentDoesNotCountInDotenv(t *testing.T) {
	s, err := loadPerson(t, nil, "GPRXY_TOKEN=e30.e30.x\n")
	if err != nil || s.token != "" {
		t.Errorf("token %q, %v", s.token.Reveal(), err)
	}
}

func TestDocsListEveryPersonsSetting(t *testing.T) {
	docs, err := os.ReadFile("../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(docs), "## gprxy login\n")
	_, rest, found := strings.Cut(rest, "| variable | flag | default | meaning |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("docs/cli.md has no table of the settings of gprxy login")
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	var want []string
	for _, row := range settings.PersonTable() {
		want = append(want, docsRow(row))
	}
	equal(t, "the second table of docs/cli.md", table, strings.Join(want, "\n"))
}

func TestUsageOfPersonsCommands(t *testing.T) {
	for _, row := range []struct {
		line string
		code int
		err  string
	}{
		{line: "login", code: 2, err: "2 settings are wrong or missing\n\n  OIDC_ISSUER is not set"},
		{line: "login --port x", code: 2, err: `--port "x" is not understood`},
		{line: "login --device --port 1", code: 2, err: "Try: gprxy login --device"},
		{line: "whoami", code: 1, err: "nobody is logged in; run gprxy login"},
		{line: "token", code: 1, err: "nobody is logged in; run gprxy login"},
		{line: "logout", code: 0, err: "Nobody is logged in."},
		{line: "connect -s localhost -d app", code: 1, err: "nobody is logged in; run gprxy login"},
		{line: "connect", code: 2, err: "no server is named\nTry: gprxy connect -s proxy.example.com -d mydb, or set PROXY_URL"},
		{line: "connect -s localhost -d app extra", code: 2, err: `takes no argument "extra"`},
		{line: "connect -s localhost -d app extra -- -c x", code: 2, err: `takes no argument "extra"`},
		{line: "connect -s localhost -d app -- -c x", code: 2, err: "what stands after -- is for psql"},
	} {
		t.Run(row.line, func(t *testing.T) {
			env := fixedEnvironment(t)
			env.Variables = []string{"HOME=" + env.Dir}
			got := gprxy(t, env, strings.Fields(row.line)...)
			if got.code != row.code || !strings.Contains(got.err, row.err) || got.out != "" {
				t.Errorf("exit %d, want %d\n%s%s\nwant %q", got.code, row.code, got.out, got.err, row.err)
			}
		})
	}
}
