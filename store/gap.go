// Gaps: what the log cannot have, it says.

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// gapOfCrash tells of the statements that may be missing because the proxy before this one was killed. It is nil if
// that proxy waited for its statements, or left nobody's session open, as one that stops by itself does.
func (d *DB) gapOfCrash(ctx context.Context, now time.Time, left []leftSession) (*LogGap, error) {
	gap := &LogGap{Reason: GapKilled, WindowMS: AsyncWindow.Milliseconds()}
	for _, s := range left {
		if s.active {
			gap.Sessions++
		}
	}
	if gap.Sessions == 0 {
		return nil, nil
	}
	var (
		body    []byte
		started ProxyStarted
	)
	err := d.app.conn.QueryRowContext(ctx, `
		SELECT body
		FROM events
		WHERE type = 'proxy.started'
		  AND type NOT IN ('statement.executed', 'statement.started')
		  AND seq <= ?
		ORDER BY seq DESC
		LIMIT 1`, d.found).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(body, &started)
	}
	if err != nil {
		return nil, fmt.Errorf("look for the last start: %w", err)
	}
	if started.Durability != DurabilityAsync {
		return nil, nil
	}
	var last int64
	err = d.app.conn.QueryRowContext(ctx, `
		SELECT time
		FROM events
		WHERE type NOT IN ('log.read', 'log.pruned')
		  AND seq <= ?
		ORDER BY seq DESC
		LIMIT 1`, d.found).Scan(&last)
	if err != nil {
		return nil, fmt.Errorf("look for the last event before the crash: %w", err)
	}
	gap.between(fromMicro(last), now)
	return gap, nil
}

// between says when the gap was. Where the clock was set back under it, it has all that lies between the two times.
func (g *LogGap) between(began, ended time.Time) {
	g.Since, g.Until = micro(began), micro(ended)
	if g.Until.Before(g.Since) {
		g.Since, g.Until = g.Until, g.Since
	}
}

// recordGap appends what gapOfCrash found.
func (d *DB) recordGap(ctx context.Context, now time.Time, left []leftSession) error {
	gap, err := d.gapOfCrash(ctx, now, left)
	if err != nil || gap == nil {
		return err
	}
	e, err := encode(Event{Fact: *gap}, now)
	if err != nil {
		return err
	}
	if _, err := d.app.append(ctx, []encoded{e}); err != nil {
		return fmt.Errorf("record the gap that a crash left: %w", err)
	}
	d.log.Warn("the last proxy was killed: statements of its last moments may be missing", "sessions", gap.Sessions, "window", AsyncWindow)
	return nil
}

// afterOutage is what to record of an outage that is over.
func (d *DB) afterOutage() item {
	gap := LogGap{Reason: GapUnwritable, Lost: int64(d.queue.lost)}
	gap.between(d.outageSince, d.opts.now())
	e, err := encode(Event{Fact: gap}, d.opts.now())
	if err != nil {
		d.log.Error("an outage was not recorded", "error", err)
		return item{}
	}
	return item{events: []encoded{e}}
}

// micro is the time as the log keeps times.
func micro(t time.Time) time.Time { return fromMicro(t.UnixMicro()) }
