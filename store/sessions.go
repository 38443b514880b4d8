// Who is and was connected: the sessions that match a filter, newest first.

package store

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// SessionFilter says which sessions are wanted; zero fields do not restrict.
type SessionFilter struct {
	Active                         bool // only those that a backend serves now
	User, ServiceAccount, Database string
	AlsoUser                       string    // another spelling of User that counts, too
	RequestedUser                  string    // that the client asked for
	Since, Until                   time.Time // sessions that lasted at some moment of [Since, Until)
	Limit                          int       // the newest so many; 0: all
}

// fewRows is up to how many rows are sorted rather than found in the order of another index.
const fewRows = 5_000

// Sessions gives the matching sessions, newest first. It holds one page in memory; sessions that
// begin meanwhile are not shown. Those still logging in are in no list.
func (r *Reader) Sessions(ctx context.Context, f SessionFilter) iter.Seq2[Session, error] {
	return func(yield func(Session, error) bool) {
		source, err := r.sessionSource(ctx, f)
		if err != nil {
			yield(Session{}, fmt.Errorf("list sessions: %w", err))
			return
		}
		var last *Session
		for left := f.Limit; f.Limit == 0 || left > 0; {
			n := pageRows
			if f.Limit > 0 {
				n = min(n, left)
			}
			page, err := r.sessionPage(ctx, f, source, last, n)
			if err != nil {
				yield(Session{}, fmt.Errorf("list sessions: %w", err))
				return
			}
			for _, s := range page {
				if !yield(s, nil) {
					return
				}
			}
			if len(page) < n {
				return
			}
			left -= n
			last = &page[n-1]
		}
	}
}

// sessionPage gives up to n sessions that are older than last.
func (r *Reader) sessionPage(ctx context.Context, f SessionFilter, source string, last *Session, n int) ([]Session, error) {
	c := f.conditions()
	if last != nil {
		c.add(`(started, seq) < (?, ?)`, last.Started.UnixMicro(), last.seq)
	}
	query := `SELECT ` + sessionColumns + ` FROM ` + source + c.where() + ` ORDER BY started DESC, seq DESC LIMIT ?`
	return collect(ctx, r.db, scanSession, query, append(c.args, n)...)
}

func (f SessionFilter) conditions() *conditions {
	c := &conditions{}
	if f.Active {
		c.add(`state IN ('connecting', 'active')`) // the words of the partial index
		c.add(`state = 'active'`)
	} else {
		c.add(`state <> 'connecting'`)
	}
	if f.User != "" {
		c.addUser(`user`, f.User, f.AlsoUser)
	}
	if f.ServiceAccount != "" {
		c.add(`service_account = ?`, f.ServiceAccount)
	}
	if f.Database != "" {
		c.add(`database = ?`, f.Database)
	}
	if f.RequestedUser != "" {
		c.add(`requested_user = ?`, f.RequestedUser)
	}
	if !f.Until.IsZero() {
		c.add(`started < ?`, f.Until.UnixMicro())
	}
	if !f.Since.IsZero() {
		// One that began since then counts though it ended before: the clock was set back under it.
		c.add(`(ended IS NULL OR max(ended, started) >= ?)`, f.Since.UnixMicro())
	}
	return c
}

// sessionSource names the index to walk. SQLite chooses without knowing how common a value is, so
// the choice is made here: what is surely rare first, else the order of the answer.
func (r *Reader) sessionSource(ctx context.Context, f SessionFilter) (string, error) {
	switch {
	case f.Active:
		return `sessions INDEXED BY sessions_open`, nil
	case f.User != "":
		return `sessions INDEXED BY sessions_user`, nil
	}
	if few, err := r.fewSince(ctx, f.Since); err != nil {
		return "", err
	} else if few {
		return recentSessions(f.Since), nil
	}
	switch {
	case f.ServiceAccount != "":
		return `sessions INDEXED BY sessions_service_account`, nil
	case f.Database != "":
		return `sessions INDEXED BY sessions_database`, nil
	}
	return `sessions INDEXED BY sessions_started`, nil
}

// fewSince reports whether so few sessions ended since then that they can be sorted.
func (r *Reader) fewSince(ctx context.Context, since time.Time) (bool, error) {
	if since.IsZero() {
		return false, nil
	}
	var n int
	err := r.db.QueryRowContext(ctx, `
		SELECT count(*)
		FROM (SELECT 1 FROM sessions WHERE ended >= ? LIMIT ?)`, since.UnixMicro(), fewRows).Scan(&n)
	return n < fewRows, err
}

// recentSessions is the table of the sessions that are open, or ended since then, or began since then and ended before,
// by a clock that was set back.
func recentSessions(since time.Time) string {
	return fmt.Sprintf(`(
		SELECT * FROM sessions INDEXED BY sessions_open WHERE state IN ('connecting', 'active')
		UNION ALL
		SELECT * FROM sessions INDEXED BY sessions_ended WHERE ended >= %[1]d
		UNION ALL
		SELECT * FROM sessions INDEXED BY sessions_started WHERE started >= %[1]d AND ended < %[1]d)`, since.UnixMicro())
}
