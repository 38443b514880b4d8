// What is counted from the events, as they are handed to the log.

package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gprxy/store"
)

// openSessions are the sessions that are open, folded from their events.
type openSessions struct {
	mu       *sync.Mutex // guards sessions
	sessions map[string]*session
}

// session is what is known of an open session.
type session struct {
	began    time.Time
	method   string
	database string
	account  string // "" until it is served
}

// maxOpen is more sessions than gprxy can have (MAX_CLIENTS and LOGIN_MAX at their most): should an end ever be missed, memory is
// bounded all the same.
const maxOpen = 2_100_000

func newOpenSessions() openSessions {
	return openSessions{mu: new(sync.Mutex), sessions: map[string]*session{}}
}

// Events counts events. It waits for nothing, so the log may call it from any goroutine.
func (m *Metrics) Events(events []store.Event) {
	m.open.mu.Lock()
	defer m.open.mu.Unlock()
	for _, e := range events {
		m.count(e)
	}
}

// Committed counts a transaction of the event log.
func (m *Metrics) Committed(events int, took time.Duration) {
	m.commitSeconds.Observe(took.Seconds())
	m.commitEvents.Add(float64(events))
}

func (m *Metrics) count(e store.Event) {
	switch f := e.Fact.(type) {
	case store.SessionConnected:
		if len(m.open.sessions) < maxOpen {
			m.open.sessions[e.Session] = &session{began: e.Time, database: f.Database}
		}
	case store.AuthSucceeded:
		if s := m.open.sessions[e.Session]; s != nil {
			s.method = f.Method
		}
	case store.AuthFailed:
		m.logins.WithLabelValues(m.names.method(f.Method), resultFailed).Inc()
	case store.SessionStarted:
		m.started(m.open.sessions[e.Session], f)
	case store.SessionRefused:
		m.refusals.WithLabelValues(m.names.reason(f.Reason)).Inc()
		m.notLetIn(m.open.sessions[e.Session])
		delete(m.open.sessions, e.Session)
	case store.SessionEnded:
		m.ended(m.open.sessions[e.Session], f)
		delete(m.open.sessions, e.Session)
	case store.CancelForwarded:
		m.cancels.WithLabelValues(cancelForwarded).Inc()
	case store.CancelRejected:
		m.cancels.WithLabelValues(cancelRejected).Inc()
	case store.LogCondensed:
		m.condensed(f)
	case store.LogCheckpointed:
		m.checkpoint.SetToCurrentTime()
	}
}

// started counts a login once: each backend that is tried for it is an event, before it is known to live.
func (m *Metrics) started(s *session, f store.SessionStarted) {
	if s == nil || s.account != "" {
		return
	}
	m.waitSeconds.Observe(f.WaitMS / 1000)
	s.account, s.database = m.names.account(f.ServiceAccount), m.names.database(s.database)
	method := m.names.method(s.method)
	m.logins.WithLabelValues(method, resultOK).Inc()
	if !s.began.IsZero() {
		m.loginSeconds.WithLabelValues(method).Observe(time.Since(s.began).Seconds())
	}
}

// notLetIn counts a person who was known, and was not served all the same.
func (m *Metrics) notLetIn(s *session) {
	if s != nil && s.method != "" && s.account == "" {
		m.logins.WithLabelValues(m.names.method(s.method), resultFailed).Inc()
	}
}

func (m *Metrics) ended(s *session, f store.SessionEnded) {
	m.ends.WithLabelValues(m.names.reason(f.Reason)).Inc()
	m.notLetIn(s)
	if s != nil && s.account != "" {
		m.sessionLength.Observe(f.DurationMS / 1000)
	}
	m.statements.Add(float64(f.Statements))
	m.errors.Add(float64(f.Errors))
	m.rows.Add(float64(f.Rows))
	m.bytes.WithLabelValues("in").Add(float64(f.BytesIn))
	m.bytes.WithLabelValues("out").Add(float64(f.BytesOut))
	if f.Doubt != "" {
		m.doubts.Inc()
	}
}

// condensed counts what a flood left of facts that were not recorded one by one.
func (m *Metrics) condensed(f store.LogCondensed) {
	n := float64(f.Count)
	switch f.Of {
	case store.AuthFailed{}.Type():
		m.logins.WithLabelValues(otherName, resultFailed).Add(n)
	case store.SessionEnded{}.Type():
		m.ends.WithLabelValues(m.names.reason(f.Reason)).Add(n)
	case store.CancelRejected{}.Type():
		m.cancels.WithLabelValues(cancelRejected).Add(n)
	default: // connections and sessions that were turned away
		m.refusals.WithLabelValues(m.names.reason(f.Reason)).Add(n)
	}
}

// openCollector tells the open sessions by state, account and database.
type openCollector struct{ m *Metrics }

var sessionsDesc = prometheus.NewDesc("gprxy_sessions",
	"Open sessions: connecting until a backend serves them, then active; own stands for people's own accounts.",
	[]string{"state", "account", "database"}, nil)

func (c *openCollector) Describe(to chan<- *prometheus.Desc) { to <- sessionsDesc }

func (c *openCollector) Collect(to chan<- prometheus.Metric) {
	type key struct{ state, account, database string }
	counts := map[key]int{{state: "connecting"}: 0}
	c.m.open.mu.Lock()
	for _, s := range c.m.open.sessions {
		if s.account == "" {
			counts[key{state: "connecting"}]++
		} else {
			counts[key{"active", s.account, s.database}]++
		}
	}
	c.m.open.mu.Unlock()
	for k, n := range counts {
		to <- prometheus.MustNewConstMetric(sessionsDesc, prometheus.GaugeValue, float64(n), k.state, k.account, k.database)
	}
}
