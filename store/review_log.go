// The review's part about events that are no sessions: cancels, and the log's own.

package store

import (
	"context"
	"time"
)

// LogCare is how well the log was kept.
type LogCare struct {
	Starts    int64          `json:"starts"` // of the proxy
	Stops     int64          `json:"stops"`  // starts without one: it was killed, or runs
	Gaps      []Gap          `json:"gaps"`
	Condensed []ReasonCount  `json:"condensed"` // events of strangers that were counted in place of being recorded
	Readers   []ReaderCount  `json:"readers"`
	Pruned    []PrunedByWhom `json:"pruned"`
}

// Gap is a time of which something may be missing.
type Gap struct {
	Seq    int64     `json:"seq"`
	Reason string    `json:"reason"` // GapKilled or GapUnwritable
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Lost   int64     `json:"lost"`      // events that found no room
	Window int64     `json:"window_ms"` // of whose statements some may be missing
}

// ReaderCount is how often somebody read the log with a command.
type ReaderCount struct {
	OSUser  string    `json:"os_user"`
	Command string    `json:"command"`
	Count   int64     `json:"count"`
	Last    time.Time `json:"last"`
}

// PrunedByWhom is a retention that was carried out.
type PrunedByWhom struct {
	By     string    `json:"by"`
	Events int64     `json:"events"`
	Before time.Time `json:"before"` // what was given up is older
	Last   time.Time `json:"last"`   // when it was done
}

// notStatements has the words of the partial index of types.
const notStatements = ` AND type NOT IN ('statement.executed', 'statement.started')`

// reviewEvents fills in what the sessions do not tell.
func (r *Reader) reviewEvents(ctx context.Context, since, until time.Time, review *Review) (err error) {
	from := int64(-1 << 62)
	if !since.IsZero() {
		from = since.UnixMicro()
	}
	in := ` AND time >= ? AND time < ?` + notStatements
	bounds := []any{from, until.UnixMicro()}
	for _, n := range []struct {
		to  *int64
		typ string
	}{{&review.Log.Starts, ProxyStarted{}.Type()}, {&review.Log.Stops, ProxyStopped{}.Type()}} {
		if err := r.db.QueryRowContext(ctx, `SELECT count(*) FROM events WHERE type = '`+n.typ+`'`+in, bounds...).Scan(n.to); err != nil {
			return err
		}
	}
	review.Cancels, err = collect(ctx, r.db, scanReason, `
		SELECT CASE type WHEN 'cancel.forwarded' THEN 'forwarded' ELSE body ->> 'reason' END, count(*), max(time)
		FROM events
		WHERE type IN ('cancel.forwarded', 'cancel.rejected')`+in+`
		GROUP BY 1
		ORDER BY 2 DESC, 1`, bounds...)
	if err != nil {
		return err
	}
	review.Log.Gaps, err = collect(ctx, r.db, scanGap, `
		SELECT seq, body ->> 'reason', body ->> 'since', body ->> 'until', ifnull(body ->> 'lost', 0), ifnull(body ->> 'window_ms', 0)
		FROM events
		WHERE type = 'log.gap'`+in+`
		ORDER BY seq`, bounds...)
	if err != nil {
		return err
	}
	review.Log.Condensed, err = collect(ctx, r.db, scanReason, `
		SELECT (body ->> 'of') || ': ' || (body ->> 'reason'), sum(body ->> 'count'), max(time)
		FROM events
		WHERE type = 'log.condensed'`+in+`
		GROUP BY 1
		ORDER BY 2 DESC, 1`, bounds...)
	if err != nil {
		return err
	}
	return r.reviewCare(ctx, in, bounds, &review.Log)
}

func (r *Reader) reviewCare(ctx context.Context, in string, bounds []any, care *LogCare) (err error) {
	care.Readers, err = collect(ctx, r.db, scanReaderCount, `
		SELECT body ->> 'os_user', body ->> 'command', count(*), max(time)
		FROM events
		WHERE type = 'log.read'`+in+`
		GROUP BY 1, 2
		ORDER BY 3 DESC, 1, 2`, bounds...)
	if err != nil {
		return err
	}
	care.Pruned, err = collect(ctx, r.db, scanPrunedBy, `
		SELECT body ->> 'by', sum(ifnull(body ->> 'events', 0)), body ->> 'before', max(time)
		FROM events
		WHERE type = 'log.pruned'`+in+`
		GROUP BY 1, 3
		ORDER BY 4, 1`, bounds...)
	return err
}

func scanReason(scan func(...any) error) (c ReasonCount, err error) {
	var last int64
	err = scan(nullable{&c.Reason}, &c.Count, &last)
	c.Last = fromMicro(last)
	return c, err
}

func scanGap(scan func(...any) error) (g Gap, err error) {
	var since, until string
	if err = scan(&g.Seq, nullable{&g.Reason}, &since, &until, &g.Lost, &g.Window); err != nil {
		return g, err
	}
	if g.Since, err = time.Parse(time.RFC3339Nano, since); err != nil {
		return g, err
	}
	g.Until, err = time.Parse(time.RFC3339Nano, until)
	return g, err
}

func scanReaderCount(scan func(...any) error) (c ReaderCount, err error) {
	var last int64
	err = scan(nullable{&c.OSUser}, nullable{&c.Command}, &c.Count, &last)
	c.Last = fromMicro(last)
	return c, err
}

func scanPrunedBy(scan func(...any) error) (p PrunedByWhom, err error) {
	var before string
	var last int64
	if err = scan(nullable{&p.By}, &p.Events, &before, &last); err != nil {
		return p, err
	}
	p.Last = fromMicro(last)
	p.Before, err = time.Parse(time.RFC3339Nano, before)
	return p, err
}
