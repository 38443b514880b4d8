// Whether the process may open as many sockets as the settings let people have.

package cmd

import (
	"syscall"

	"gprxy/cmd/metrics"
	"gprxy/cmd/settings"
	"gprxy/pool"
	"gprxy/session"
)

// Descriptors for the log, the listening socket, requests to the issuer, cancel requests on their way.
const otherDescriptors = 100

// descriptors is how many descriptors the settings may need at most.
func descriptors(s settings.Settings) uint64 {
	need := s.MaxClients + s.LoginMax + session.LateReaders + s.PoolMaxTotal + pool.LoginChecks + otherDescriptors
	if s.Metrics.Listen != "" {
		need += metrics.MaxConnections
	}
	return uint64(need)
}

// checkDescriptors raises the limit as far as it may, and warns when that is not enough. Too few only
// make clients wait to be accepted, so it is no reason not to start.
func (p *proxy) checkDescriptors() {
	need := descriptors(p.settings)
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err == nil && uint64(limit.Cur) < need && limit.Cur < limit.Max { // the Go runtime has usually done so
		limit.Cur = limit.Max
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	if err != nil {
		p.log.Warn("could not look at the limit of open files", "error", err)
		return
	}
	if uint64(limit.Cur) < need {
		p.log.Warn("fewer files may be open than MAX_CLIENTS, LOGIN_MAX and POOL_MAX_TOTAL may need: raise the limit (LimitNOFILE, "+
			"ulimit -n), or lower these",
			"limit", limit.Cur, "may_need", need)
	}
}
