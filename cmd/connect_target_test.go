// Where connect goes, as a specification.

package cmd

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gprxy/cmd/settings"
)

// aim resolves flags as connect does, with a home that may hold a local CA.
func aim(t *testing.T, files []string, proxyURL string, args ...string) (target, string, error) {
	t.Helper()
	env := fixedEnvironment(t)
	env.Variables = []string{"HOME=" + env.Dir, "PGSSLMODE=disable", "PGSSLROOTCERT=/none"}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(env.Dir, f)), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(env.Dir, f), "")
	}
	var o targetOptions
	fs := newFlagSet("connect")
	o.flags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	to, err := o.target(&call{Environment: env, command: connectCommand(), set: fs}, proxyURL)
	to.rootCert = strings.ReplaceAll(to.rootCert, env.Dir, "~")
	return to, env.Dir, err
}

func TestWhereConnectGoes(t *testing.T) {
	own, libpq := ".gprxy/tls/root.crt", ".postgresql/root.crt"
	for _, row := range []struct {
		args, url string
		files     []string
		want      string // host port database account sslmode rootcert
		wrong     string
	}{
		{args: "-s proxy.example.com -d app", want: "proxy.example.com 7777 app - verify-full system"},
		{args: "-s proxy.example.com:6000 -d app -U app_reader", want: "proxy.example.com 6000 app app_reader verify-full system"},
		{args: "-s proxy.example.com -p 6000 -d app", want: "proxy.example.com 6000 app - verify-full system"},
		{args: "-d app", url: "proxy.example.com", want: "proxy.example.com 7777 app - verify-full system"},
		{args: "", url: "postgres://bob@proxy.example.com:6000/app?sslmode=require", want: "proxy.example.com 6000 app bob require system"},
		{args: "-d other -U x --sslmode verify-ca", url: "postgresql://bob@proxy/app?sslmode=require&sslrootcert=/ca.pem",
			want: "proxy 7777 other x verify-ca /ca.pem"},
		{args: "-s other -d app", url: "proxy", want: "other 7777 app - verify-full system"},
		{args: "-s ::1 -d app", want: "::1 7777 app - prefer system"},
		{args: "-s [::1]:6000 -d app", want: "::1 6000 app - prefer system"},
		{args: "-s localhost -d app", want: "localhost 7777 app - prefer system"},
		{args: "-s localhost -d app", files: []string{own}, want: "localhost 7777 app - verify-full ~/.gprxy/tls/root.crt"},
		{args: "-s 127.0.0.1 -d app --sslmode disable", files: []string{own}, want: "127.0.0.1 7777 app - disable ~/.gprxy/tls/root.crt"},
		{args: "-s localhost -d app --sslmode verify-full", files: []string{own}, want: "localhost 7777 app - verify-full ~/.gprxy/tls/root.crt"},
		{args: "-s localhost -d app --sslrootcert ca.pem", want: "localhost 7777 app - verify-full ~/ca.pem"},
		{args: "-s localhost -d app --sslrootcert ~/ca.pem", want: "localhost 7777 app - verify-full ~/ca.pem"},
		{args: "-s localhost -d app --sslrootcert system", files: []string{own}, want: "localhost 7777 app - verify-full system"},
		{args: "-s proxy -d app", files: []string{own}, want: "proxy 7777 app - verify-full system"},
		{args: "-s proxy -d app", files: []string{own, libpq}, want: "proxy 7777 app - verify-full ~/.postgresql/root.crt"},

		{args: "-s /run/gprxy -d app", files: []string{own, libpq}, want: "/run/gprxy 7777 app - disable system"},
		{args: "--host /run/gprxy -p 6000 -d app --sslmode verify-full --sslrootcert ca.pem", want: "/run/gprxy 6000 app - disable system"},
		{args: "-s @gprxy -d app -U x", want: "@gprxy 7777 app x disable system"},
		{args: "", url: "postgres:///app?host=/run/gprxy&port=6000&sslmode=require", want: "/run/gprxy 6000 app - disable system"},
		{args: "", url: "postgres://bob@/app?port=6000&host=%2Frun%2Fgprxy", want: "/run/gprxy 6000 app bob disable system"},
		{args: "-d app", url: "/run/gprxy", want: "/run/gprxy 7777 app - disable system"},

		{args: "-s /run/gprxy/.s.PGSQL.6000 -d app", wrong: "is a socket; write its folder"},
		{args: "-s /run/a,/run/b -d app", wrong: "is a list"},
		{args: "-s @ -d app", wrong: "is no host; an abstract socket is"},
		{args: "-s @topsecret@proxy -d app", wrong: "is no host; an abstract socket is"},
		{args: "-s /app?password=topsecret -d app", wrong: "is no folder"},
		{args: "-s /" + strings.Repeat("x", 95) + " -d app", wrong: "is too long a folder"},
		{args: "-s /run/gprxy -p 0 -d app", wrong: `--port "0" is not understood`},
		{args: "-s /run/gprxy -d app --new-certificate", wrong: "there is no TLS on a Unix socket"},
		{args: "-s postgres:///app -d app", wrong: "is no URL of gprxy"},
		{args: "-s postgres:///app?port=6000", wrong: "is no URL of gprxy"},
		{args: "-s postgres:///app?host=proxy", wrong: "is no URL of gprxy"},
		{args: "-s postgres://proxy/app?host=/run/gprxy", wrong: "is no URL of gprxy"},
		{args: "-s postgres:///app?host=/run/a&host=/run/b", wrong: "is no URL of gprxy"},
		{args: "-s postgres:///app?host=/run/gprxy&port=0", wrong: `has the port "0"`},
		{args: "-s postgres:///app?host=/run/gprxy/.s.PGSQL.1", wrong: "is a socket"},

		{args: "-d app", wrong: "no server is named"},
		{args: "-s proxy", wrong: "no database is named"},
		{args: "-s proxy:0 -d app", wrong: `has the port "0"`},
		{args: "-s proxy:70000 -d app", wrong: `has the port "70000"`},
		{args: "-s proxy -p x -d app", wrong: `--port "x" is not understood`},
		{args: "-s proxy:1 -p 2 -d app", wrong: "--port is 2, but the server's address says 1"},
		{args: "-s proxy -d app --sslmode allow", wrong: `--sslmode "allow" is not understood`},
		{args: "-s user:topsecret@proxy -d app", wrong: "is no host"},
		{args: "-s postgres://user:topsecret@proxy/app", wrong: "holds a password"},
		{args: "-s https://topsecret@proxy/app", wrong: "is no URL of gprxy"},
		{args: "-s postgres://proxy/app?password=topsecret", wrong: `has the parameter "password"`},
		{args: "-s postgres://proxy/a/b", wrong: "more than HOST:PORT/DATABASE"},
		{args: "-s ::zz -d app", wrong: "is no host"},
		{args: "-s proxy -d " + strings.Repeat("x", 64), wrong: "--database is no name"},
	} {
		t.Run(row.args+" "+row.url, func(t *testing.T) {
			to, _, err := aim(t, row.files, row.url, strings.Fields(row.args)...)
			if row.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), row.wrong) || strings.Contains(err.Error(), "topsecret") {
					t.Errorf("error %v, want %s", err, row.wrong)
				}
				return
			}
			got := strings.Join([]string{to.host, to.port, to.database, first(to.account, "-"), to.sslMode, to.rootCert}, " ")
			if err != nil || got != row.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, row.want)
			}
		})
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, text := range []string{"proxy:7777", "[::1]:1", "postgres://u@h:1/db?sslmode=require", "u:p@h", "::", "[", "postgres://h/%00", "%",
		"/run/gprxy", "@gprxy", "postgres:///db?host=/run/gprxy&port=1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		to, err := parseTarget(text)
		if err != nil {
			return
		}
		if to.isUnix() {
			if len(to.address()) > settings.LongestSocketPath() {
				t.Errorf("%q leads to a socket of %d bytes", text, len(to.address()))
			}
			return
		}
		if to.host == "" || strings.ContainsAny(to.host, " /@?#") && !strings.Contains(text, "%") {
			t.Errorf("%q leads to the host %q", text, to.host)
		}
	})
}

func TestTheEnvironmentOfPsqlLeadsNowhereElse(t *testing.T) {
	o := connectOptions{psql: "/none", target: target{host: "proxy", port: "7777", database: "app", sslMode: sslRequire}}
	env := fixedEnvironment(t, "PGHOSTADDR=6.6.6.6", "PGSERVICE=evil", "PGPASSFILE=/x", "PGSSLMODE=disable", "PGHOST=evil", "GPRXY_TOKEN=t",
		"PGOPTIONS=-c a=b", "TERM=xterm")
	s := &ssoSettings{token: "e30.eyJlbWFpbCI6ImFAYi5jIn0.x"}
	s.login.Now = env.Now
	tokens, err := s.givenToken()
	if err != nil {
		t.Fatal(err)
	}
	got, err := o.psqlEnvironment(t.Context(), &call{Environment: env}, tokens)
	want := "PGOPTIONS=-c a=b TERM=xterm PGHOST=proxy PGPORT=7777 PGDATABASE=app PGUSER=a@b.c PGSSLMODE=require PGGSSENCMODE=disable"
	if err != nil || strings.Join(got, " ") != want {
		t.Errorf("got  %s, %v\nwant %s", strings.Join(got, " "), err, want)
	}
}

// Whom nothing proves on a Unix socket, the folder must: anybody may make one in /tmp.
func TestASocketThatAnybodyCouldMake(t *testing.T) {
	own := t.TempDir()
	open := filepath.Join(own, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	for host, warned := range map[string]bool{open: true, own: false, "@gprxy": true, "proxy": false, "localhost": false, "/none": false} {
		if said := (target{host: host, port: "7777"}).strangersMayListen(); (said != "") != warned {
			t.Errorf("%s: %q", host, said)
		}
	}
}

// libpq looks for "localhost" in a password file where the socket is in its default folder.
func TestTheDefaultFolderOfPsql(t *testing.T) {
	for host, want := range map[string]string{
		"/tmp": "/tmp/.", "/tmp/": "/tmp/.", "/var/run/postgresql": "/var/run/postgresql/.", "/run/gprxy": "/run/gprxy", "@gprxy": "@gprxy",
		"tmp": "tmp", "localhost": "localhost",
	} {
		if got := (target{host: host}).libpqHost(); got != want {
			t.Errorf("%s is %s for psql, want %s", host, got, want)
		}
	}
}

func TestASignalDoesNotEndWhatOutlivesIt(t *testing.T) {
	told, stop := signal.NotifyContext(t.Context(), syscall.SIGHUP)
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-told.Done()
	if !endedBySignal(told) {
		t.Errorf("%v is not taken for a signal", context.Cause(told))
	}
	ctx, cancel := context.WithCancel(t.Context())
	own, done := outliveSignals(ctx)
	defer done()
	cancel()
	<-own.Done()
}
