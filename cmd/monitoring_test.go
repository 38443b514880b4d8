// Metrics and health of a gprxy that people use.

package cmd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gprxy/cmd/settings"
	"gprxy/listener"
)

var metricsAddress = regexp.MustCompile(`metrics_address=(\S+)`)

// monitored is a gprxy that answers monitoring at the address.
func (i *install) monitored(more ...string) (r *running, address string) {
	i.t.Helper()
	r = i.start(append([]string{"METRICS_LISTEN=127.0.0.1:0"}, more...)...)
	return r, "http://" + metricsAddress.FindStringSubmatch(r.output())[1]
}

// scrape gets a page; status 0 if nobody answers.
func scrape(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Timeout: 20 * time.Second}).Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

// Metrics tell what the log tells, of a gprxy that people use; they are readable while it drains, and gone with it.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	i := newInstall(t)
	r, address := i.monitored()
	if status, body := scrape(t, address+"/readyz?verbose"); status != 200 || !strings.Contains(body, "[+]event log ok") {
		t.Errorf("readyz: %d %s", status, body)
	}
	conn := r.mustConnect("ann@example.com", i.token("ann@example.com"))
	if _, err := r.connect(t.Context(), "alice", "wrong"); err == nil {
		t.Fatal("a wrong password is let in")
	}
	short := r.mustConnect("alice", "alice-secret")
	if _, err := short.Exec(t.Context(), "select 1"); err != nil {
		t.Fatal(err)
	}
	if err := short.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`gprxy_sessions{account="app_reader",database="postgres",state="active"} 1`,
		`gprxy_logins_total{method="token",result="ok"} 1`,
		`gprxy_logins_total{method="password",result="ok"} 1`,
		`gprxy_logins_total{method="password",result="failed"} 1`,
		`gprxy_session_ends_total{reason="client_terminated"} 1`,
		`gprxy_statements_total 1`,
		`gprxy_backends{account="app_reader",database="postgres",state="leased"} 1`,
		`gprxy_event_log_up 1`,
	}
	var body string
	missing := func() (left []string) {
		_, body = scrape(t, address+"/metrics")
		for _, line := range want {
			if !strings.Contains(body, "\n"+line+"\n") {
				left = append(left, line)
			}
		}
		return left
	}
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(missing(), "\n"))
		}
	}()
	waitFor(t, "metrics tell of three logins", func() bool { return len(missing()) == 0 })
	for _, secret := range []string{"alice", "ann@example.com", "gprxy_service-secret", i.issuer.URL()} {
		if strings.Contains(body, secret) {
			t.Errorf("the metrics hold %q", secret)
		}
	}
	if _, err := conn.Exec(t.Context(), "begin"); err != nil {
		t.Fatal(err)
	}
	r.Process.Signal(syscall.SIGTERM)
	waitFor(t, "readyz says that it drains", func() bool {
		status, body := scrape(t, address+"/readyz")
		return status == 503 && strings.Contains(body, "[-]draining")
	})
	if status, _ := scrape(t, address+"/metrics"); status != 200 {
		t.Errorf("metrics while it drains: %d", status)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, r.output())
	}
	if status, _ := scrape(t, address+"/livez"); status != 0 {
		t.Errorf("livez of a gprxy that has ended: %d", status)
	}
}

// PostgreSQL that is away is told, and makes nobody take gprxy out of the balancer; keys that are missing do where nobody can log
// in without.
func TestReadinessIsAboutGprxy(t *testing.T) {
	t.Parallel()
	i := newInstall(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := closed.Addr().(*net.TCPAddr).Port
	closed.Close()
	r, address := i.monitored(fmt.Sprintf("DB_PORT=%d", port), "DB_RESTART_WAIT=0s", fmt.Sprintf("OIDC_ISSUER=http://127.0.0.1:%d/", port),
		"PASSWORD_LOGIN=off")
	if _, err := r.connect(t.Context(), "ann", i.token("ann@example.com")); err == nil {
		t.Fatal("somebody is let in")
	}
	waitFor(t, "the keys are told as missing", func() bool {
		status, body := scrape(t, address+"/readyz?verbose")
		return status == 503 && strings.Contains(body, "[-]issuer keys")
	})
	with, also := i.monitored(fmt.Sprintf("DB_PORT=%d", port), "DB_RESTART_WAIT=0s", "EVENT_LOG="+t.TempDir()+"/events.db")
	if _, err := with.connect(t.Context(), "ann", i.token("ann@example.com")); err == nil {
		t.Fatal("somebody is let in")
	}
	if status, body := scrape(t, also+"/readyz?verbose"); status != 200 || !strings.Contains(body, "[!]postgresql") {
		t.Errorf("readyz without PostgreSQL: %d %s", status, body)
	}
}

// A metrics port in use keeps nobody from PostgreSQL: it is the one of the gprxy before this one, for as long as that has sessions.
// It is taken over as soon as it is free.
func TestAMetricsPortInUse(t *testing.T) {
	t.Parallel()
	i := newInstall(t)
	before, address := i.monitored()
	conn := before.mustConnect("ann@example.com", i.token("ann@example.com"))
	if _, err := conn.Exec(t.Context(), "begin"); err != nil {
		t.Fatal(err)
	}
	before.Process.Signal(syscall.SIGTERM)
	waitFor(t, "the first gprxy drains", func() bool {
		status, _ := scrape(t, address+"/readyz")
		return status == 503
	})
	next := i.start("METRICS_LISTEN=" + strings.TrimPrefix(address, "http://"))
	next.mustConnect("ann@example.com", i.token("ann@example.com"))
	if !strings.Contains(next.output(), "another process listens there") || !strings.Contains(next.output(), "METRICS_LISTEN") {
		t.Errorf("it is not said that metrics wait\n%s", next.output())
	}
	if status, body := scrape(t, address+"/readyz"); status != 503 || !strings.Contains(body, "draining") {
		t.Errorf("beside each other: %d %s", status, body)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := before.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, before.output())
	}
	waitFor(t, "the next gprxy answers there", func() bool {
		status, _ := scrape(t, address+"/readyz")
		return status == 200
	})
}

func TestMetricsSettings(t *testing.T) {
	for _, row := range []struct{ set, want string }{
		{"METRICS_LISTEN=127.0.0.1:9187", ""},
		{"METRICS_LISTEN=localhost:0", ""},
		{"METRICS_LISTEN=[::1]:9187", ""},
		{"METRICS_LISTEN=0.0.0.0:9187 METRICS_TOKEN=hunter2-hunter2-hunter2", ""},
		{"METRICS_LISTEN=0.0.0.0:9187", "which other machines can reach, and anybody could read the metrics"},
		{"METRICS_LISTEN=127.0.0.1:9187 METRICS_TOKEN=hunter2", "METRICS_TOKEN has fewer than 16 characters"},
		{"METRICS_LISTEN=:9187", "write HOST:PORT"},
		{"METRICS_LISTEN=9187", "write HOST:PORT"},
		{"METRICS_LISTEN=127.0.0.1:http", `has the port "http"`},
		{"METRICS_LISTEN=/run/gprxy:9187", "has the host"},
		{"METRICS_LISTEN=10.0.0.1:9187 METRICS_CERT=/c", "METRICS_KEY is not set"},
		{"METRICS_LISTEN=10.0.0.1:9187 METRICS_CERT=/c METRICS_KEY=/k", "METRICS_CERT and METRICS_KEY cannot be used"},
	} {
		_, _, err := settings.Load(settings.Sources{Variables: append(strings.Fields(row.set), enough...), Dir: t.TempDir()})
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v, want %q", row.set, err, row.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the token is told", row.set)
		}
	}
}

// With TLS and a token, as where other machines scrape.
func TestMetricsOverTLS(t *testing.T) {
	t.Parallel()
	i := newInstall(t)
	files, err := listener.EnsureLocalCA(t.TempDir(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	token := write(t, filepath.Join(t.TempDir(), "token"), "hunter2-hunter2-hunter2\n")
	r, address := i.monitored("METRICS_CERT="+files.CertFile, "METRICS_KEY="+files.KeyFile, "METRICS_TOKEN_FILE="+token)
	root, err := os.ReadFile(files.RootFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	for sent, want := range map[string]int{"": 401, "Bearer wrong": 401, "bearer hunter2-hunter2-hunter2": 200} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(address, "http:", "https:", 1)+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", sent)
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%q: %d, want %d", sent, answer.StatusCode, want)
		}
	}
	if status, _ := scrape(t, address+"/metrics"); status == 200 {
		t.Error("metrics are answered without TLS")
	}
	if strings.Contains(r.output(), "hunter2") {
		t.Error("the log has the token")
	}
}
