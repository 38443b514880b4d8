// What has a state at a moment, asked for when somebody looks.

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type stateCollector struct {
	sources Sources
	names   *names
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	backendsDesc = desc("gprxy_backends", "Connections to PostgreSQL: leased to sessions, or idle, opening and closing.", "account",
		"database", "state")
	waitingDesc     = desc("gprxy_pool_waiting", "Logins that wait for POOL_MAX_CONNS or POOL_MAX_TOTAL.", "account", "database")
	connectionsDesc = desc("gprxy_client_connections", "Connections of clients, whether they have logged in or not.")
	logUpDesc       = desc("gprxy_event_log_up", "1 while the event log can be written, else 0: logins are refused then.")
	logWaitingDesc  = desc("gprxy_event_log_waiting_events", "Events that wait to be written.")
	logBytesDesc    = desc("gprxy_event_log_waiting_bytes", "Bytes of events and statements that wait to be written.")
	logLostDesc     = desc("gprxy_event_log_lost_events", "Events that found no room in memory since the log could not be written; they "+
		"are counted in a log.gap.")
	logSizeDesc     = desc("gprxy_event_log_size_bytes", "Size of the event log's file and its write-ahead log.")
	keysDesc        = desc("gprxy_issuer_keys_fetched_timestamp_seconds", "When the issuer's keys were fetched last; 0: never.")
	certificateDesc = desc("gprxy_certificate_expiry_timestamp_seconds", "When the certificate that clients see expires.")
)

func (c *stateCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{backendsDesc, waitingDesc, connectionsDesc, logUpDesc, logWaitingDesc, logBytesDesc, logLostDesc,
		logSizeDesc, keysDesc, certificateDesc} {
		to <- d
	}
}

func (c *stateCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	if c.sources.Pools != nil {
		c.pools(gauge)
	}
	if c.sources.Connections != nil {
		gauge(connectionsDesc, float64(c.sources.Connections()))
	}
	if c.sources.Log != nil {
		s := c.sources.Log()
		up := 1.0
		if s.Unwritable != nil {
			up = 0
		}
		gauge(logUpDesc, up)
		gauge(logWaitingDesc, float64(s.Events))
		gauge(logBytesDesc, float64(s.Bytes+s.StatementBytes))
		gauge(logLostDesc, float64(s.Lost))
	}
	if c.sources.LogBytes != nil {
		gauge(logSizeDesc, float64(c.sources.LogBytes()))
	}
	if c.sources.KeysFetched != nil {
		gauge(keysDesc, unix(c.sources.KeysFetched()))
	}
	if c.sources.CertExpires != nil {
		gauge(certificateDesc, unix(c.sources.CertExpires()))
	}
}

// pools adds up what has the same labels: people's own accounts are told together.
func (c *stateCollector) pools(gauge func(*prometheus.Desc, float64, ...string)) {
	type key struct{ account, database string }
	type sum struct{ leased, other, waiting int }
	sums := map[key]sum{}
	for _, s := range c.sources.Pools() {
		k := key{c.names.account(s.User), otherName}
		if s.Open > 0 { // PostgreSQL has it: a name that nobody checked is no label
			k.database = c.names.database(s.Database)
		}
		one := sums[k]
		one.leased += s.Leased
		one.other += max(0, s.Open-s.Leased)
		one.waiting += s.Waiting
		sums[k] = one
	}
	for k, s := range sums {
		gauge(backendsDesc, float64(s.leased), k.account, k.database, "leased")
		gauge(backendsDesc, float64(s.other), k.account, k.database, "other")
		gauge(waitingDesc, float64(s.waiting), k.account, k.database)
	}
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
