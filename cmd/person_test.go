// A person's whole way: log in, connect, be refused, log out, with gprxy as a process.

package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/auth/sso"
)

// person is somebody with a home and a shell.
type personAtShell struct {
	*install
	t    *testing.T
	home string
	env  []string
	said []string // everything that commands printed, but not token's stdout
}

func (i *install) person(t *testing.T, more ...string) *personAtShell {
	t.Helper()
	p := &personAtShell{install: i, t: t, home: t.TempDir()}
	p.env = append([]string{
		"HOME=" + p.home, "PATH=" + os.Getenv("PATH"), "NO_COLOR=1", "TERM=xterm",
		"OIDC_ISSUER=" + i.issuer.URL(), "OIDC_CLIENT_ID=" + authtest.DefaultClient, "AUDIENCE=" + i.issuer.Audience(),
	}, more...)
	return p
}

func (p *personAtShell) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.binary, args...)
	cmd.Dir, cmd.Env = p.home, p.env
	return cmd
}

// run runs gprxy with an input.
func (p *personAtShell) run(input string, args ...string) outcome {
	p.t.Helper()
	var out, errs bytes.Buffer
	cmd := p.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		p.t.Fatal(err)
	}
	p.said = append(p.said, errs.String())
	if args[0] != "token" {
		p.said = append(p.said, out.String())
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// expect runs gprxy and wants an exit code and texts in what it prints.
func (p *personAtShell) expect(code int, texts []string, input string, args ...string) outcome {
	p.t.Helper()
	got := p.run(input, args...)
	if got.code != code {
		p.t.Errorf("gprxy %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got.code, code, got.out, got.err)
	}
	for _, text := range texts {
		if !strings.Contains(got.out+got.err, text) {
			p.t.Errorf("gprxy %s: no %q in\n%s%s", strings.Join(args, " "), text, got.out, got.err)
		}
	}
	return got
}

var address = regexp.MustCompile(`http://\S+/authorize\?\S+`)

// logIn logs in with a browser that the test plays; login "" presses Cancel.
func (p *personAtShell) logIn(login string) outcome {
	p.t.Helper()
	cmd := p.command("login", "--no-browser", "--port", "0")
	var out bytes.Buffer
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	said := p.visit(stderr, login)
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() < 0 {
		p.t.Fatal(err)
	}
	p.said = append(p.said, out.String(), said)
	return outcome{cmd.ProcessState.ExitCode(), out.String(), said}
}

// visit reads what gprxy prints until its end, and goes where it says.
func (p *personAtShell) visit(stderr io.Reader, login string) string {
	p.t.Helper()
	var said strings.Builder
	buffer := make([]byte, 4096)
	for visited := false; ; {
		n, err := stderr.Read(buffer)
		said.Write(buffer[:n])
		if url := address.FindString(said.String()); url != "" && !visited && strings.Contains(said.String(), "Waiting") {
			visited = true
			p.browse(url, login)
		}
		if err != nil {
			return said.String()
		}
	}
}

func (p *personAtShell) browse(url, login string) {
	p.t.Helper()
	back, err := p.issuer.Visit(url, login)
	if err != nil {
		p.t.Fatal(err)
	}
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	page, err := once.Get(back)
	if err != nil {
		p.t.Fatal(err)
	}
	page.Body.Close()
	if next := page.Header.Get("Location"); next != "" { // to the issuer once more
		p.browse(next, login)
	}
}

// secrets are the tokens of the credentials file.
func (p *personAtShell) secrets() []string {
	p.t.Helper()
	logins, err := sso.Store{Path: filepath.Join(p.home, ".gprxy", "credentials")}.All(p.t.Context())
	if err != nil || len(logins) != 1 {
		p.t.Fatalf("%d logins, %v", len(logins), err)
	}
	l := logins[0]
	if l.Access == "" || l.ID == "" || l.Refresh == "" {
		p.t.Fatalf("a token is missing: %+v", l)
	}
	return []string{l.Access.Reveal(), l.ID.Reveal(), l.Refresh.Reveal()}
}

// kept fails if a secret was printed by any command.
func (p *personAtShell) kept(secrets []string) {
	p.t.Helper()
	for _, s := range secrets {
		for _, text := range p.said {
			if strings.Contains(text, s) {
				p.t.Errorf("a token was printed:\n%s", text)
			}
		}
	}
}

func newPersonInstall(t *testing.T) *install {
	i := newInstall(t)
	i.issuer = authtest.Start(t, authtest.Options{DeviceInterval: 100 * time.Millisecond})
	for _, sql := range []string{"CREATE ROLE app_writer LOGIN PASSWORD 'app_writer-secret'", "CREATE DATABASE closed",
		"REVOKE CONNECT ON DATABASE closed FROM public"} {
		if err := i.postgres.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

func TestAPersonLogsInAndOut(t *testing.T) {
	i := newPersonInstall(t)
	p := i.person(t)
	t.Run("nobody yet", func(t *testing.T) {
		p.expect(1, []string{"nobody is logged in at ", "; run gprxy login"}, "", "whoami")
		p.expect(1, []string{"nobody is logged in at ", "; run gprxy login"}, "", "connect", "-s", "127.0.0.1:1", "-d", "x")
	})
	t.Run("refused at the issuer", func(t *testing.T) {
		got := p.logIn("")
		if got.code != 1 || !strings.Contains(got.err, "the login was refused") || got.out != "" {
			t.Errorf("%+v", got)
		}
		if _, err := os.Stat(filepath.Join(p.home, ".gprxy", "credentials")); err == nil {
			t.Error("there is a credentials file")
		}
	})
	t.Run("in the browser", func(t *testing.T) {
		got := p.logIn("alice")
		if got.code != 0 || !regexp.MustCompile(`^Logged in as alice@example\.com \(roles reader\) until (\d{4}-\d\d-\d\d )?\d\d:\d\d UTC\n$`).MatchString(got.out) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("whoami", func(t *testing.T) {
		p.expect(0, []string{"alice@example.com\n", "roles    reader", "issuer   " + i.issuer.URL(), "renewed when needed"}, "", "whoami")
		var line whoamiLine
		got := p.expect(0, nil, "", "whoami", "--json")
		if err := json.Unmarshal([]byte(got.out), &line); err != nil || *line.User != "alice@example.com" || !line.Renewable ||
			strings.Count(got.out, "\n") != 1 {
			t.Errorf("%s, %v", got.out, err)
		}
	})
	t.Run("token", func(t *testing.T) {
		got := p.expect(0, nil, "", "token")
		if !regexp.MustCompile(`^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$`).MatchString(got.out) || got.err != "" {
			t.Errorf("%+v", got)
		}
		given := i.person(t, "GPRXY_TOKEN="+strings.TrimSpace(got.out))
		if again := given.expect(0, nil, "", "token"); again.out != got.out {
			t.Error("GPRXY_TOKEN is not what token prints")
		}
		given.expect(0, []string{"alice@example.com\n", "from     GPRXY_TOKEN"}, "", "whoami")
		old := i.person(t, "GPRXY_TOKEN="+i.issuer.Token(authtest.Claims{"email": "x@example.com", "exp": 1}))
		old.expect(1, []string{"GPRXY_TOKEN expired at 1970-01-01T00:00:01Z"}, "", "token")
	})
	t.Run("with a code", func(t *testing.T) { logInByCode(t, p) })
	secrets := p.secrets()
	t.Run("logout", func(t *testing.T) {
		before := i.issuer.Requests(authtest.RevokePath)
		p.expect(0, []string{"Logged out bob@example.com"}, "", "logout")
		if i.issuer.Requests(authtest.RevokePath) == before {
			t.Error("the issuer was not told")
		}
		p.expect(1, []string{"nobody is logged in"}, "", "whoami")
		p.expect(0, []string{"Nobody is logged in."}, "", "logout")
	})
	p.kept(secrets)
}

func logInByCode(t *testing.T, p *personAtShell) {
	cmd := p.command("login", "--device")
	var out bytes.Buffer
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	buffer := make([]byte, 4096)
	code := regexp.MustCompile(`enter the code\n\n  (\S+)\n`)
	for approved := false; ; {
		n, err := stderr.Read(buffer)
		said.Write(buffer[:n])
		if m := code.FindStringSubmatch(said.String()); m != nil && !approved {
			approved = true
			if err := p.issuer.Approve(m[1], "bob"); err != nil {
				t.Error(err)
			}
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(out.String(), "Logged in as bob@example.com (roles writer) until ") {
		t.Errorf("%v\n%s%s", err, out.String(), said.String())
	}
	p.said = append(p.said, out.String(), said.String())
}

func TestLoginOpensTheBrowser(t *testing.T) {
	i := newPersonInstall(t)
	tools := t.TempDir()
	opened := filepath.Join(tools, "opened")
	for _, name := range []string{"xdg-open", "open"} {
		write(t, filepath.Join(tools, name), "#!/bin/sh\necho \"$1\" > "+opened+".new && mv "+opened+".new "+opened+"\n")
		if err := os.Chmod(filepath.Join(tools, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p := i.person(t, "PATH="+tools+":/bin:/usr/bin", "DISPLAY=:0")
	p.env = without(p.env, "PATH")
	p.env = append(p.env, "PATH="+tools+":/bin:/usr/bin")
	cmd := p.command("login", "--port", "0")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the browser", func() bool { return isFile(opened) })
	url, err := os.ReadFile(opened)
	if err != nil {
		t.Fatal(err)
	}
	p.browse(strings.TrimSpace(string(url)), "alice")
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "Logged in as alice") {
		t.Errorf("%v, %s", err, out.String())
	}
	os.Remove(opened)

	far := i.person(t, "SSH_CONNECTION=a b c d")
	cmd = far.command("login", "--port", "0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := far.visit(stderr, "alice")
	if err := cmd.Wait(); err != nil || !strings.Contains(said, "session over SSH. gprxy login --device needs none") {
		t.Errorf("%v, %s", err, said)
	}
}

// An expired token is renewed once, however many programs ask for it at the same time.
func TestManyAskForATokenAtOnce(t *testing.T) {
	t.Parallel()
	i := newPersonInstall(t)
	p := i.person(t)
	if got := p.logIn("alice"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	file := sso.Store{Path: filepath.Join(p.home, ".gprxy", "credentials")}
	logins, err := file.All(t.Context())
	if err != nil || len(logins) != 1 {
		t.Fatalf("%d logins, %v", len(logins), err)
	}
	logins[0].Expires = time.Now().Add(-time.Minute)
	if err := file.Save(t.Context(), logins[0]); err != nil {
		t.Fatal(err)
	}
	before := i.issuer.Grants("refresh_token")
	const n = 20
	answers := make(chan string, n)
	for range n {
		cmd := p.command("token")
		go func() { // each answers once
			out, err := cmd.Output()
			if err != nil {
				out = []byte(err.Error())
			}
			answers <- strings.TrimSpace(string(out))
		}()
	}
	first := <-answers
	for range n - 1 {
		if got := <-answers; got != first {
			t.Errorf("answers differ: %d and %d characters", len(got), len(first))
		}
	}
	if !auth.LooksLikeToken(first) || first == logins[0].Access.Reveal() {
		t.Error("the answer is no fresh token")
	}
	if got := i.issuer.Grants("refresh_token") - before; got != 1 {
		t.Errorf("%d refreshes, want 1", got)
	}
}

// A login that others could read is ended, not refused: that is when a person needs it most.
func TestLogoutOfCredentialsThatOthersCanRead(t *testing.T) {
	t.Parallel()
	i := newPersonInstall(t)
	p := i.person(t)
	if got := p.logIn("alice"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	path := filepath.Join(p.home, ".gprxy", "credentials")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	p.expect(1, []string{"chmod"}, "", "token")
	revoked := i.issuer.Requests(authtest.RevokePath)
	p.expect(0, []string{"Logged out alice@example.com"}, "", "logout")
	if got := i.issuer.Requests(authtest.RevokePath); got == revoked {
		t.Error("the issuer was not told")
	}
	p.expect(1, []string{"nobody is logged in"}, "", "whoami")
}
