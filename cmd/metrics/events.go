// What is counted from the events, as they are handed to the log.

package metrics

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gprxy/store"
)

// openSessions are the sessions that are open, folded from their events.
type openSessions struct {
	mu       *sync.Mutex // guards what follows
	sessions map[string]*session
	counts   map[place]int // how many stand where
}

// session is what is known of an open session.
type session struct {
	began    time.Time
	method   string
	database string
	account  string // of the last backend that was found for it; "": none yet
	waited   float64
	place    place
}

// place is where a session is counted.
type place struct{ state, account, database string }

var connecting = place{state: "connecting"}

// maxOpen is more sessions than gprxy can have (MAX_CLIENTS and LOGIN_MAX at their most): should an end ever be missed, memory is
// bounded all the same.
const maxOpen = 2_100_000

func newOpenSessions() openSessions {
	return openSessions{mu: new(sync.Mutex), sessions: map[string]*session{}, counts: map[place]int{connecting: 0}}
}

func (o *openSessions) add(id string, s *session) {
	if len(o.sessions) < maxOpen {
		o.sessions[id] = s
		s.place = connecting
		o.counts[s.place]++
	}
}

func (o *openSessions) move(s *session, to place) {
	o.leave(s.place)
	s.place = to
	o.counts[to]++
}

func (o *openSessions) remove(id string) {
	if s := o.sessions[id]; s != nil {
		o.leave(s.place)
		delete(o.sessions, id)
	}
}

func (o *openSessions) leave(p place) {
	if o.counts[p]--; o.counts[p] == 0 && p != connecting {
		delete(o.counts, p)
	}
}

// Events counts events. It waits for nothing but its own kind, so the log may call it from any goroutine. Statements, of which there
// are most, are counted at the end of their session.
func (m *Metrics) Events(events []store.Event) {
	if !slices.ContainsFunc(events, counts) {
		return
	}
	m.open.mu.Lock()
	defer m.open.mu.Unlock()
	for _, e := range events {
		m.count(e)
	}
}

func counts(e store.Event) bool {
	_, statements := e.Fact.(store.StatementsExecuted)
	return !statements
}

// LoggedIn counts a login that has succeeded: the client has its greeting.
func (m *Metrics) LoggedIn(id string) {
	m.open.mu.Lock()
	defer m.open.mu.Unlock()
	s := m.open.sessions[id]
	if s == nil || s.place != connecting {
		return
	}
	m.open.move(s, place{"active", m.names.account(s.account), m.names.database(s.database)})
	method := m.names.method(s.method)
	m.logins.WithLabelValues(method, resultOK).Inc()
	m.loginSeconds.WithLabelValues(method).Observe(time.Since(s.began).Seconds())
	m.waitSeconds.Observe(s.waited)
}

// Committed counts a transaction of the event log.
func (m *Metrics) Committed(events int, took time.Duration) {
	m.commitSeconds.Observe(took.Seconds())
	m.commitEvents.Add(float64(events))
}

func (m *Metrics) count(e store.Event) {
	switch f := e.Fact.(type) {
	case store.SessionConnected:
		m.open.add(e.Session, &session{began: e.Time, database: f.Database})
	case store.AuthSucceeded:
		if s := m.open.sessions[e.Session]; s != nil {
			s.method = f.Method
		}
	case store.AuthFailed:
		m.logins.WithLabelValues(m.names.method(f.Method), resultFailed).Inc()
	case store.SessionStarted:
		if s := m.open.sessions[e.Session]; s != nil { // perhaps the second time: the backend before may have been dead
			s.account, s.waited = f.ServiceAccount, f.WaitMS/1000
		}
	case store.SessionRefused:
		m.refusals.WithLabelValues(m.names.reason(f.Reason)).Inc()
		m.notLetIn(m.open.sessions[e.Session])
		m.open.remove(e.Session)
	case store.SessionEnded:
		m.ended(m.open.sessions[e.Session], f)
		m.open.remove(e.Session)
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

// notLetIn counts a person who was known, and was not served all the same.
func (m *Metrics) notLetIn(s *session) {
	if s != nil && s.method != "" && s.place == connecting {
		m.logins.WithLabelValues(m.names.method(s.method), resultFailed).Inc()
	}
}

func (m *Metrics) ended(s *session, f store.SessionEnded) {
	m.ends.WithLabelValues(m.names.reason(f.Reason)).Inc()
	m.notLetIn(s)
	if s != nil && s.place != connecting {
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
	"Open sessions: connecting until the login is over, then active; own stands for people's own accounts.",
	[]string{"state", "account", "database"}, nil)

func (c *openCollector) Describe(to chan<- *prometheus.Desc) { to <- sessionsDesc }

func (c *openCollector) Collect(to chan<- prometheus.Metric) {
	c.m.open.mu.Lock()
	counts := maps.Clone(c.m.open.counts)
	c.m.open.mu.Unlock()
	for p, n := range counts {
		to <- prometheus.MustNewConstMetric(sessionsDesc, prometheus.GaugeValue, float64(n), p.state, p.account, p.database)
	}
}
