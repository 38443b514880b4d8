// The compliance review: who used which service account in a time, and how well the log itself was kept.

package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Review is what a reviewer wants to know of the sessions that began in [Since, Until). Its JSON is stable.
type Review struct {
	Since *time.Time `json:"since"` // null: from the beginning
	Until time.Time  `json:"until"`

	Sessions   int64 `json:"sessions"` // that a backend served
	Refused    int64 `json:"refused"`
	Statements int64 `json:"statements"` // of the sessions that have ended

	Accounts []AccountUse  `json:"accounts"`
	People   []PersonUse   `json:"people"`
	NewPairs []Pair        `json:"new_pairs"` // a person and an account that were not seen together before Since
	Refusals []ReasonCount `json:"refusals"`
	Abnormal []ReasonCount `json:"abnormal"` // ends that were neither the client's nor a refusal
	Cancels  []ReasonCount `json:"cancels"`  // forwarded, or why rejected

	Days     []DayCount     `json:"days"`     // sessions of an account on a day
	Hours    [7][24]int64   `json:"hours"`    // sessions by weekday (0 is Monday) and hour, UTC
	Refusing []RefusalCount `json:"refusing"` // refusals on a day by reason

	Log LogCare `json:"log"`
}

// AccountUse is one service account and who used it.
type AccountUse struct {
	Account    string    `json:"service_account"`
	Sessions   int64     `json:"sessions"`
	Statements int64     `json:"statements"`
	Rows       int64     `json:"rows"`
	Errors     int64     `json:"errors"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	People     []Share   `json:"people"`    // all of them, most sessions first
	Addresses  []Share   `json:"addresses"` // of clients, without ports
	Programs   []Share   `json:"programs"`  // by application_name, which the client chooses
	Databases  []Share   `json:"databases"`
}

// PersonUse is one person and the accounts used.
type PersonUse struct {
	User       string    `json:"user"`
	Sessions   int64     `json:"sessions"`
	Refused    int64     `json:"refused"`
	Statements int64     `json:"statements"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	Accounts   []Share   `json:"accounts"`
	Addresses  []Share   `json:"addresses"`
}

// Share is how many sessions there were of something.
type Share struct {
	Name     string `json:"name"`
	Sessions int64  `json:"sessions"`
}

// Pair is a person's first use of an account.
type Pair struct {
	User    string    `json:"user"`
	Account string    `json:"service_account"`
	First   time.Time `json:"first"`
	Session string    `json:"session"`
}

// ReasonCount is how often something happened for a reason.
type ReasonCount struct {
	Reason string    `json:"reason"`
	Count  int64     `json:"count"`
	Last   time.Time `json:"last"`
}

// DayCount is how many sessions an account had on a day (UTC).
type DayCount struct {
	Day      string `json:"day"`
	Account  string `json:"service_account"`
	Sessions int64  `json:"sessions"`
}

// RefusalCount is how many were refused on a day (UTC) for a reason.
type RefusalCount struct {
	Day    string `json:"day"`
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// maxNames bounds what is told apart of an account or a person: clients choose addresses and program
// names. The rest is counted together, as OtherNames.
const (
	maxNames   = 1000
	OtherNames = "(others)"
)

// Review reads the sessions of [since, until) once, in constant memory but for people, accounts and days.
// A zero since is the beginning of the log. told is called now and then with how many were read.
func (r *Reader) Review(ctx context.Context, since, until time.Time, told func(sessions int64)) (*Review, error) {
	b := &reviewer{
		review:   Review{Until: until.UTC()},
		accounts: map[string]*accountCounts{}, people: map[string]*personCounts{}, pairs: map[[2]string]*Pair{},
		refusals: map[string]*ReasonCount{}, abnormal: map[string]*ReasonCount{},
		days: map[[2]string]int64{}, refusing: map[[2]string]int64{},
	}
	if !since.IsZero() {
		from := since.UTC()
		b.review.Since = &from
	}
	if err := r.eachSession(ctx, since, until, func(s *Session) {
		b.add(s)
		if b.seen++; b.seen%10_000 == 0 {
			told(b.seen)
		}
	}); err != nil {
		return nil, fmt.Errorf("review sessions: %w", err)
	}
	b.finish()
	if err := r.dropKnownPairs(ctx, &b.review); err != nil {
		return nil, fmt.Errorf("review who used which account before: %w", err)
	}
	if err := r.reviewEvents(ctx, since, until, &b.review); err != nil {
		return nil, fmt.Errorf("review the log: %w", err)
	}
	b.review.listNothing()
	return &b.review, nil
}

// listNothing makes empty lists of what there is none of: in JSON they are [] and not null.
func (r *Review) listNothing() {
	some(&r.Cancels)
	some(&r.Log.Gaps)
	some(&r.Log.Condensed)
	some(&r.Log.Readers)
	some(&r.Log.Pruned)
}

func some[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

// eachSession gives the sessions that began in the time, oldest first, page by page.
func (r *Reader) eachSession(ctx context.Context, since, until time.Time, give func(*Session)) error {
	from, seq := int64(-1<<62), int64(0)
	if !since.IsZero() {
		from = since.UnixMicro() - 1
		seq = 1 << 62 // nothing of that microsecond
	}
	for {
		n := 0
		rows, err := r.db.QueryContext(ctx, `
			SELECT session, state, started, user, service_account, database, client, application_name, statements, rows, errors, end_reason, seq
			FROM sessions INDEXED BY sessions_started
			WHERE (started, seq) > (?, ?)
			  AND started < ?
			  AND state <> 'connecting'
			ORDER BY started, seq
			LIMIT ?`, from, seq, until.UnixMicro(), reviewPage)
		if err != nil {
			return err
		}
		for rows.Next() {
			var s Session
			if err := rows.Scan(&s.Session, &s.State, &from, nullable{&s.User}, nullable{&s.ServiceAccount}, nullable{&s.Database},
				nullable{&s.Client},
				nullable{&s.ApplicationName}, nullable{&s.Statements}, nullable{&s.Rows}, nullable{&s.Errors}, nullable{&s.EndReason},
				&seq); err != nil {
				rows.Close()
				return err
			}
			s.Started = fromMicro(from)
			give(&s)
			n++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if n < reviewPage {
			return nil
		}
	}
}

// reviewPage is how many sessions are read in one snapshot.
const reviewPage = 20_000

// dropKnownPairs leaves the pairs that were not seen before Since. Without Since all are new, and none
// is worth telling.
func (r *Reader) dropKnownPairs(ctx context.Context, review *Review) error {
	if review.Since == nil {
		review.NewPairs = []Pair{}
		return nil
	}
	known, err := r.db.PrepareContext(ctx, `
		SELECT 1
		FROM sessions INDEXED BY sessions_user
		WHERE user = ?
		  AND started < ?
		  AND service_account = ?
		  AND state NOT IN ('connecting', 'refused')
		LIMIT 1`)
	if err != nil {
		return err
	}
	defer known.Close()
	fresh := review.NewPairs[:0]
	for _, p := range review.NewPairs {
		var one int
		switch err := known.QueryRowContext(ctx, p.User, review.Since.UnixMicro(), p.Account).Scan(&one); err {
		case nil:
		case sql.ErrNoRows:
			fresh = append(fresh, p)
		default:
			return err
		}
	}
	review.NewPairs = fresh
	return nil
}
