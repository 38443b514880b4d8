// RETENTION: what `gprxy start` does every day so that the log does not grow for ever.

package cmd

import (
	"context"
	"time"

	"gprxy/cmd/settings"
)

// retentionRetry is when a prune is tried again that failed.
const retentionRetry = time.Hour

// keepRetention prunes at the start and after each midnight (UTC), since whole days go. It returns when ctx ends.
func (p *proxy) keepRetention(ctx context.Context) {
	if p.settings.Audit.Retention == 0 {
		return
	}
	for {
		wait := untilTomorrow(time.Now())
		if err := p.prune(ctx); err != nil && ctx.Err() == nil {
			wait = retentionRetry
			p.log.Warn("old events could not be pruned, it is tried again in an hour (RETENTION)", "error", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

func untilTomorrow(now time.Time) time.Duration {
	return now.Truncate(settings.Day).Add(settings.Day + time.Minute).Sub(now)
}

func (p *proxy) prune(ctx context.Context) error {
	retention := p.settings.Audit.Retention
	done, err := p.events.Prune(ctx, time.Now().Add(-retention), "RETENTION="+settings.InDays(retention), nil)
	if err == nil && done.Events > 0 {
		p.log.Info("pruned old events", "before", done.Before.Format(time.DateOnly), "events", done.Events, "sessions", done.Sessions)
	}
	return err
}
