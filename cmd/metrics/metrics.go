// Package metrics tells programs how gprxy does: counters and gauges for Prometheus, and whether it lives and takes logins.
//
// What can be counted is counted from the events as they are handed to the log (Events), and a login that succeeded when the client
// is told so (LoggedIn); what has a state at a moment is asked for when somebody looks (Sources). No label has a value that people or
// strangers can make up: see names.go.
package metrics

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gprxy/pool"
	"gprxy/store"
)

// Sources are asked for their state whenever somebody looks. Those that are nil are left out.
type Sources struct {
	Pools       func() []pool.Stat
	Log         func() store.Stats
	LogBytes    func() int64     // the event log's file and its write-ahead log
	KeysFetched func() time.Time // the issuer's keys; zero: never
	CertExpires func() time.Time // the certificate that clients see
	Connections func() int       // of clients, whether they have logged in or not
}

// Metrics are gprxy's. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	names    names
	open     openSessions

	logins        *prometheus.CounterVec
	loginSeconds  *prometheus.HistogramVec
	refusals      *prometheus.CounterVec
	waitSeconds   prometheus.Histogram
	ends          *prometheus.CounterVec
	sessionLength prometheus.Histogram
	statements    prometheus.Counter
	errors        prometheus.Counter
	rows          prometheus.Counter
	bytes         *prometheus.CounterVec
	doubts        prometheus.Counter
	cancels       *prometheus.CounterVec
	commitSeconds prometheus.Histogram
	commitEvents  prometheus.Counter
	checkpoint    prometheus.Gauge
}

// Build says which gprxy it is.
type Build struct{ Version, Commit string }

// New makes the metrics. accounts are the service accounts that the settings name: sessions of others are those of people's own
// accounts, and are told together.
func New(b Build, accounts []string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), names: newNames(accounts), open: newOpenSessions()}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
		m.registry.MustRegister(h)
		return h
	}
	m.logins = counters("gprxy_logins_total", "Logins by how the person proved who it is, and whether that and all behind it succeeded.",
		"method", "result")
	m.loginSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "gprxy_login_seconds", Help: "From the accepted connection to the greeting, of logins that succeeded.", Buckets: loginBuckets,
	}, []string{"method"})
	m.registry.MustRegister(m.loginSeconds)
	m.refusals = counters("gprxy_refusals_total", "Clients that were turned away, by the reason that the event log has.", "reason")
	m.waitSeconds = histogram("gprxy_pool_wait_seconds", "How long sessions waited for the backend that serves them, connecting included.", waitBuckets)
	m.ends = counters("gprxy_session_ends_total", "Sessions that have ended, by the reason that the event log has.", "reason")
	m.sessionLength = histogram("gprxy_session_seconds", "How long sessions lasted that were served.", sessionBuckets)
	m.statements = counter("gprxy_statements_total", "Statements that were run, counted when their session ends.")
	m.errors = counter("gprxy_statement_errors_total", "Statements that failed, counted when their session ends.")
	m.rows = counter("gprxy_rows_total", "Rows that were sent to clients, counted when their session ends.")
	m.bytes = counters("gprxy_bytes_total", "Bytes relayed, counted when their session ends: in comes from clients.", "direction")
	m.doubts = counter("gprxy_sessions_in_doubt_total", "Sessions that could not be followed to their end.")
	m.cancels = counters("gprxy_cancel_requests_total", "Cancel requests, by what became of them.", "result")
	m.commitSeconds = histogram("gprxy_event_log_commit_seconds", "How long a transaction of the event log took, to the disk.", commitBuckets)
	m.commitEvents = counter("gprxy_event_log_events_total", "Events that were written to the event log.")
	m.checkpoint = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gprxy_checkpoint_timestamp_seconds", Help: "When the head of the event log was signed last by this process; 0: never.",
	})
	m.registry.MustRegister(m.checkpoint, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gprxy_build_info", Help: "Which gprxy this is; always 1.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build, &openCollector{m})
	for _, method := range methods {
		m.logins.WithLabelValues(method, resultOK)
		m.logins.WithLabelValues(method, resultFailed)
	}
	for _, result := range []string{cancelForwarded, cancelRejected} {
		m.cancels.WithLabelValues(result)
	}
	return m
}

// Watch adds what is asked for when somebody looks. It is called once, when all of it is open.
func (m *Metrics) Watch(s Sources) { m.registry.MustRegister(&stateCollector{s, &m.names}) }

// Buckets, in seconds. A login takes milliseconds by token, tens of them with a new backend, minutes in a browser; a wait ends
// with POOL_ACQUIRE_TIMEOUT; a commit is one sync of a disk.
var (
	loginBuckets   = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	waitBuckets    = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	sessionBuckets = []float64{.01, .1, 1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600}
	commitBuckets  = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
)
