// The event log of the proxy: its own at once, or after the proxy before it.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gprxy/store"
)

const (
	// logPoll is how often is looked whether the gprxy before this one has ended.
	logPoll = 20 * time.Millisecond
	// ownerGrace is what a gprxy that has just been told to end may take to make room for this one.
	ownerGrace = 2 * time.Second
)

// openLog opens the event log. One that has to be brought up to date is left alone while the gprxy before this one still
// writes it: then it waits, as long as that one may take with the same settings, and clients wait in the socket's queue.
// A gprxy that does not end is an error, after ownerGrace.
func (p *proxy) openLog(ctx context.Context) (*store.DB, error) {
	options := store.Options{Log: p.log, Version: thisBuild().Version}
	if p.metrics != nil {
		options.Observe, options.Committed = p.metrics.Metrics.Events, p.metrics.Metrics.Committed
	}
	most := p.settings.ShutdownTimeout + killGrace + closeTimeout
	began := time.Now()
	for waiting := false; ; {
		events, err := store.Open(ctx, p.settings.EventLog, options)
		locked, ok := errors.AsType[*store.LockedError](err)
		switch {
		case !ok:
			return events, err
		case !locked.Leaving && time.Since(began) > ownerGrace, time.Since(began) > most:
			return nil, err
		}
		if locked.Leaving && !waiting {
			waiting = true
			p.log.Info("waiting for the gprxy before this one, to bring the event log up to date; clients are let in afterwards",
				"process", locked.PID, "at_most", most)
		}
		select {
		case <-time.After(logPoll):
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the gprxy before this one: %w", context.Cause(ctx))
		}
	}
}
