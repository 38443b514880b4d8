// What Prometheus and health checks are told, over HTTP.

package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"gprxy/auth"
	"gprxy/pool"
	"gprxy/store"
)

type running struct {
	*Server
	t       *testing.T
	address string
}

func start(t *testing.T, token auth.Secret) *running {
	t.Helper()
	s := &Server{Metrics: New(Build{Version: "v1", Commit: "abc"}, []string{"app_reader"}), Log: slog.New(slog.DiscardHandler)}
	if token != "" {
		s.Token = func() auth.Secret { return token }
	}
	return serve(t, s)
}

func serve(t *testing.T, s *Server) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(l)
	t.Cleanup(func() { s.Close(context.WithoutCancel(t.Context())) })
	return &running{s, t, "http://" + l.Addr().String()}
}

func (r *running) get(path string, headers ...string) (status int, body string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.address+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

// wants requires lines of /metrics, each whole.
func (r *running) wants(lines ...string) {
	r.t.Helper()
	_, body := r.get("/metrics")
	for _, line := range lines {
		if !strings.Contains("\n"+body, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			name, _, _ = strings.Cut(name, " ")
			r.t.Errorf("there is no line %q, but\n%s", line, strings.Join(regexp.MustCompile("(?m)^"+name+".*$").FindAllString(body, -1), "\n"))
		}
	}
}

func event(session string, fact store.Fact) store.Event {
	return store.Event{Time: time.Now(), Session: session, Fact: fact}
}

func TestEventsAreCounted(t *testing.T) {
	r := start(t, "")
	m := r.Metrics
	m.Events([]store.Event{event("a", store.SessionConnected{Database: "shop"}), event("b", store.SessionConnected{Database: "shop"}),
		event("c", store.SessionConnected{Database: "made-up"})})
	m.Events([]store.Event{event("a", store.AuthSucceeded{Method: auth.MethodToken}),
		event("a", store.SessionStarted{ServiceAccount: "app_reader", WaitMS: 3})})
	m.LoggedIn("a")
	m.Events([]store.Event{event("b", store.AuthSucceeded{Method: auth.MethodPassword}),
		event("b", store.SessionStarted{ServiceAccount: "alice", WaitMS: 7000})})
	m.LoggedIn("b")
	m.Events([]store.Event{event("c", store.AuthFailed{Method: auth.MethodPassword, Reason: "wrong_password"}),
		event("c", store.SessionRefused{SQLState: "28P01", Reason: "wrong_password"})})
	m.Events([]store.Event{event("", store.CancelForwarded{}), event("", store.CancelRejected{}),
		event("", store.LogCondensed{Of: "session.refused", Reason: "too_many_logins", Count: 41}),
		event("d", store.SessionRefused{Reason: "postgresql_3d000"})})
	m.Committed(9, 3*time.Millisecond)
	r.wants(
		`gprxy_sessions{account="app_reader",database="shop",state="active"} 1`,
		`gprxy_sessions{account="own",database="shop",state="active"} 1`,
		`gprxy_sessions{account="",database="",state="connecting"} 0`,
		`gprxy_logins_total{method="token",result="ok"} 1`,
		`gprxy_logins_total{method="password",result="ok"} 1`,
		`gprxy_logins_total{method="password",result="failed"} 1`,
		`gprxy_refusals_total{reason="wrong_password"} 1`,
		`gprxy_refusals_total{reason="too_many_logins"} 41`,
		`gprxy_refusals_total{reason="postgresql_class_3d"} 1`,
		`gprxy_cancel_requests_total{result="forwarded"} 1`,
		`gprxy_cancel_requests_total{result="rejected"} 1`,
		`gprxy_pool_wait_seconds_bucket{le="0.005"} 1`,
		`gprxy_pool_wait_seconds_bucket{le="10"} 2`,
		`gprxy_event_log_events_total 9`,
		`gprxy_event_log_commit_seconds_count 1`,
	)
	m.Events([]store.Event{event("a", store.SessionEnded{Reason: store.EndTerminated, DurationMS: 1500, Statements: 4, Errors: 1, Rows: 9,
		BytesIn: 100, BytesOut: 2000, Doubt: "why"})})
	r.wants(
		`gprxy_session_ends_total{reason="`+store.EndTerminated+`"} 1`,
		`gprxy_statements_total 4`,
		`gprxy_statement_errors_total 1`,
		`gprxy_rows_total 9`,
		`gprxy_bytes_total{direction="in"} 100`,
		`gprxy_bytes_total{direction="out"} 2000`,
		`gprxy_sessions_in_doubt_total 1`,
		`gprxy_session_seconds_count 1`,
	)
	if _, body := r.get("/metrics"); strings.Contains(body, `account="app_reader",database="shop",state="active"`) {
		t.Error("a session that has ended is still told")
	}
}

// A login is counted once, however many backends were tried for it, and as what became of it: one that had its backend may fail
// all the same, for want of a record or of a backend that lives.
func TestALoginIsCountedOnce(t *testing.T) {
	r := start(t, "")
	login := func(id string, more ...store.Fact) {
		for _, f := range append([]store.Fact{store.SessionConnected{Database: "shop"}, store.AuthSucceeded{Method: auth.MethodToken}}, more...) {
			r.Metrics.Events([]store.Event{event(id, f)})
		}
	}
	ended := store.SessionEnded{Reason: store.EndTerminated}
	started := store.SessionStarted{ServiceAccount: "app_reader"}
	login("several backends", started, started, started)
	r.wants(`gprxy_logins_total{method="token",result="ok"} 0`, `gprxy_sessions{account="",database="",state="connecting"} 1`)
	r.Metrics.LoggedIn("several backends")
	r.wants(`gprxy_sessions{account="app_reader",database="shop",state="active"} 1`, `gprxy_sessions{account="",database="",state="connecting"} 0`)
	r.Metrics.Events([]store.Event{event("several backends", ended)})
	r.Metrics.LoggedIn("several backends")
	login("none lives", started, started, store.SessionRefused{Reason: "postgresql_unreachable"})
	login("no record", started, store.SessionRefused{Reason: "event_log"})
	login("leaves while it waits", store.SessionEnded{Reason: store.EndLeftWaiting})
	login("leaves with its backend", started, store.SessionEnded{Reason: store.EndLeftWaiting})
	login("no role", store.SessionRefused{Reason: "no_mapped_role"})
	r.Metrics.Events([]store.Event{event("", store.LogCondensed{Of: "session.ended", Reason: store.EndLeftBeforeLogin, Count: 7})})
	r.wants(
		`gprxy_logins_total{method="token",result="ok"} 1`,
		`gprxy_logins_total{method="token",result="failed"} 5`,
		`gprxy_login_seconds_count{method="token"} 1`,
		`gprxy_pool_wait_seconds_count 1`,
		`gprxy_session_seconds_count 1`,
		`gprxy_session_ends_total{reason="left_before_login"} 7`,
	)
	if _, body := r.get("/metrics"); strings.Contains(body, `state="active"`) {
		t.Error("a session that has ended is still told")
	}
}

// A role's name may be in any encoding; a label is UTF-8.
func TestAnAccountThatIsNoUTF8(t *testing.T) {
	m := New(Build{}, []string{"caf\xe9"})
	m.Events([]store.Event{event("a", store.SessionConnected{Database: "d\xe9"}), event("a", store.SessionStarted{ServiceAccount: "caf\xe9"})})
	m.LoggedIn("a")
	r := serve(t, &Server{Metrics: m, Log: slog.New(slog.DiscardHandler)})
	r.wants("gprxy_sessions{account=\"caf\uFFFD\",database=\"d?\",state=\"active\"} 1")
}

// Whoever opens connections and says nothing keeps others waiting for a while at the most, and does not hold up the end.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, "")
	address := strings.TrimPrefix(r.address, "http://")
	for range MaxConnections {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	began := time.Now()
	if status, _ := r.get("/livez"); status != 200 {
		t.Errorf("status %d", status)
	}
	if waited := time.Since(began); waited < readTimeout/2 {
		t.Errorf("the connection beyond the bound was served after %v", waited)
	}
	silent, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began = time.Now()
	r.Close(t.Context())
	if took := time.Since(began); took > readTimeout/2 {
		t.Errorf("a silent connection held up the end for %v", took)
	}
}

func TestStateIsAskedFor(t *testing.T) {
	r := start(t, "")
	away := errors.New("the disk is full")
	expires := time.Unix(1_900_000_000, 0)
	r.Metrics.Watch(Sources{
		Pools: func() []pool.Stat {
			return []pool.Stat{
				{Key: pool.Key{User: "app_reader", Database: "shop"}, Open: 3, Leased: 2, Waiting: 1},
				{Key: pool.Key{User: "ann", Database: "shop"}, Open: 1, Leased: 1},
				{Key: pool.Key{User: "bob", Database: "shop"}, Open: 2},
				{Key: pool.Key{User: "app_reader", Database: "made up"}, Waiting: 4},
			}
		},
		Log:         func() store.Stats { return store.Stats{Events: 7, Bytes: 100, StatementBytes: 20, Unwritable: away} },
		LogBytes:    func() int64 { return 4096 },
		CertExpires: func() time.Time { return expires },
		KeysFetched: func() time.Time { return time.Time{} },
		Connections: func() int { return 12 },
	})
	r.wants(
		`gprxy_backends{account="app_reader",database="shop",state="leased"} 2`,
		`gprxy_backends{account="app_reader",database="shop",state="other"} 1`,
		`gprxy_pool_waiting{account="app_reader",database="shop"} 1`,
		`gprxy_backends{account="own",database="shop",state="leased"} 1`,
		`gprxy_backends{account="own",database="shop",state="other"} 2`,
		`gprxy_pool_waiting{account="app_reader",database="other"} 4`,
		`gprxy_event_log_up 0`,
		`gprxy_event_log_waiting_events 7`,
		`gprxy_event_log_waiting_bytes 120`,
		`gprxy_event_log_size_bytes 4096`,
		`gprxy_certificate_expiry_timestamp_seconds 1.9e+09`,
		`gprxy_issuer_keys_fetched_timestamp_seconds 0`,
		`gprxy_client_connections 12`,
	)
}

// What people and strangers can make up is no label: the number of time series is bounded whatever they do.
func TestLabelsAreBounded(t *testing.T) {
	r := start(t, "")
	for i := range 2000 {
		id := fmt.Sprint(i)
		r.Metrics.Events([]store.Event{event(id, store.SessionConnected{Database: "db" + id}),
			event(id, store.AuthSucceeded{Method: "method" + id}), event(id, store.SessionStarted{ServiceAccount: "person" + id})})
		r.Metrics.LoggedIn(id)
		r.Metrics.Events([]store.Event{event(id, store.SessionEnded{Reason: "reason" + id}), event("r"+id, store.SessionRefused{Reason: "reason" + id}),
			event("l"+id, store.SessionConnected{Database: "live" + id}), event("l"+id, store.SessionStarted{ServiceAccount: "x" + id})})
		r.Metrics.LoggedIn("l" + id)
	}
	_, body := r.get("/metrics")
	if n := strings.Count(body, "\ngprxy_"); n > 2*(maxDatabases+3*maxReasons)+300 {
		t.Errorf("%d series", n)
	}
	if strings.Contains(body, "person1") || strings.Contains(body, "method1") {
		t.Error("a name that people choose is a label")
	}
}

func TestMetricsAreCleanForPromtool(t *testing.T) {
	r := start(t, "")
	r.Metrics.Watch(Sources{
		Pools: func() []pool.Stat { return []pool.Stat{{Key: pool.Key{User: "app_reader", Database: "shop"}, Open: 1}} },
		Log:   func() store.Stats { return store.Stats{} }, LogBytes: func() int64 { return 1 }, CertExpires: time.Now, KeysFetched: time.Now,
		Connections: func() int { return 1 },
	})
	r.Metrics.Events([]store.Event{event("a", store.SessionConnected{}), event("a", store.SessionStarted{ServiceAccount: "app_reader"}),
		event("b", store.SessionRefused{Reason: "x"}), event("c", store.SessionEnded{Reason: "y"})})
	r.Metrics.LoggedIn("a")
	_, body := r.get("/metrics")
	problems, err := promlint.New(bytes.NewReader([]byte(body))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %+v", err, problems)
	}
	if _, open := r.get("/metrics", "Accept", "application/openmetrics-text;version=1.0.0"); !strings.HasSuffix(open, "# EOF\n") {
		t.Errorf("no OpenMetrics, but it ends with %q", open[max(0, len(open)-40):])
	}
}

func TestHealth(t *testing.T) {
	r := start(t, "")
	expect := func(path string, status int, text string) {
		t.Helper()
		if got, body := r.get(path); got != status || !strings.Contains(body, text) {
			t.Errorf("%s: %d %q, want %d %q", path, got, body, status, text)
		}
	}
	expect("/livez", 200, "ok")
	expect("/startupz", 503, "starting")
	expect("/readyz", 503, "[-]listening not yet")
	var full, away error
	r.Watch(Check{Name: "event log", Fault: func() error { return full }},
		Check{Name: "postgresql", Fault: func() error { return away }, Advisory: true})
	r.Started()
	expect("/startupz", 200, "ok")
	expect("/readyz", 200, "ok\n")
	expect("/readyz?verbose", 200, "[+]listening ok\n[+]event log ok\n[+]postgresql ok\nok\n")
	away = errors.New("connection refused\n\x1b[2J")
	expect("/readyz", 200, "ok")
	expect("/readyz?verbose", 200, "[!]postgresql connection refused  [2J (ready all the same)\nok\n")
	full = errors.New("no space left on device")
	expect("/readyz", 503, "[-]event log no space left on device\nnot ready\n")
	full = nil
	r.Drain()
	expect("/readyz", 503, "[-]draining no new clients are wanted\n")
	expect("/livez", 200, "ok")
	expect("/metrics", 200, "gprxy_build_info")
	expect("/", 404, "")
}

func TestTheTokenIsAskedFor(t *testing.T) {
	r := start(t, "hunter2")
	r.Watch(Check{Name: "event log", Fault: func() error { return errors.New("/var/lib/gprxy/events.db: full") }})
	for _, sent := range []string{"", "hunter2", "Bearer", "Bearer hunter", "Bearer hunter22", "Basic aHVudGVyMg=="} {
		if status, body := r.get("/metrics", "Authorization", sent); status != 401 || strings.Contains(body, "gprxy_") {
			t.Errorf("%q: %d %s", sent, status, body)
		}
	}
	for _, sent := range []string{"Bearer hunter2", "bearer hunter2", "BEARER  hunter2"} { // RFC 9110, 11.1
		if status, body := r.get("/metrics", "Authorization", sent); status != 200 || !strings.Contains(body, "gprxy_build_info") {
			t.Errorf("%q: %d %s", sent, status, body)
		}
	}
	if _, body := r.get("/readyz"); strings.Contains(body, "/var/lib") || !strings.Contains(body, "[-]event log") {
		t.Errorf("readyz says %q to somebody without the token", body)
	}
}
