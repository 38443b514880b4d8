// The compliance review: who used which service account in a time, and how well the log itself was kept.

package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net"
	"slices"
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
// names. The rest is counted together, as otherNames.
const (
	maxNames   = 1000
	otherNames = "(others)"
)

// Review reads the sessions of [since, until) once, in constant memory but for people, accounts and days.
// A zero since is the beginning of the log. told is called now and then with how many were read.
func (r *Reader) Review(ctx context.Context, since, until time.Time, told func(sessions int64)) (*Review, error) {
	b := &reviewer{
		review:   Review{Until: until.UTC()},
		accounts: map[string]*accountTally{}, people: map[string]*personTally{}, pairs: map[[2]string]*Pair{},
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
			if err := rows.Scan(&s.Session, &s.State, &from, nullable{&s.User}, nullable{&s.ServiceAccount}, nullable{&s.Database}, nullable{&s.Client},
				nullable{&s.ApplicationName}, nullable{&s.Statements}, nullable{&s.Rows}, nullable{&s.Errors}, nullable{&s.EndReason}, &seq); err != nil {
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

// reviewer gathers the review while sessions pass.
type reviewer struct {
	review   Review
	seen     int64
	accounts map[string]*accountTally
	people   map[string]*personTally
	pairs    map[[2]string]*Pair
	refusals map[string]*ReasonCount
	abnormal map[string]*ReasonCount
	days     map[[2]string]int64
	refusing map[[2]string]int64
}

type accountTally struct {
	AccountUse
	people, addresses, programs, databases tally
}

type personTally struct {
	PersonUse
	accounts, addresses tally
}

func (b *reviewer) add(s *Session) {
	served := s.State != StateRefused && s.ServiceAccount != "" && s.EndReason != "left_while_waiting"
	day := s.Started.Format(time.DateOnly)
	switch {
	case s.State == StateRefused:
		b.review.Refused++
		count(b.refusals, s)
		b.refusing[[2]string{day, s.EndReason}]++
	case s.State == StateAborted, s.State == StateEnded && abnormalEnd(s.EndReason):
		count(b.abnormal, s)
	}
	if s.User != "" {
		b.addPerson(s, served)
	}
	if !served {
		return
	}
	b.review.Sessions++
	b.review.Statements += s.Statements
	b.days[[2]string{day, s.ServiceAccount}]++
	b.review.Hours[(int(s.Started.Weekday())+6)%7][s.Started.Hour()]++
	b.addAccount(s)
	pair := [2]string{s.User, s.ServiceAccount}
	if b.pairs[pair] == nil {
		b.pairs[pair] = &Pair{User: s.User, Account: s.ServiceAccount, First: s.Started, Session: s.Session}
	}
}

func (b *reviewer) addAccount(s *Session) {
	a := b.accounts[s.ServiceAccount]
	if a == nil {
		a = &accountTally{AccountUse: AccountUse{Account: s.ServiceAccount, First: s.Started}, people: tally{}, addresses: tally{}, programs: tally{}, databases: tally{}}
		b.accounts[s.ServiceAccount] = a
	}
	a.Sessions++
	a.Statements += s.Statements
	a.Rows += s.Rows
	a.Errors += s.Errors
	a.Last = s.Started
	a.people[s.User]++ // not bounded: a review that forgets people is none
	a.addresses.add(addressOf(s.Client))
	a.programs.add(s.ApplicationName)
	a.databases.add(s.Database)
}

func (b *reviewer) addPerson(s *Session, served bool) {
	p := b.people[s.User]
	if p == nil {
		p = &personTally{PersonUse: PersonUse{User: s.User, First: s.Started}, accounts: tally{}, addresses: tally{}}
		b.people[s.User] = p
	}
	p.Last = s.Started
	p.addresses.add(addressOf(s.Client))
	switch {
	case served:
		p.Sessions++
		p.Statements += s.Statements
		p.accounts[s.ServiceAccount]++
	case s.State == StateRefused:
		p.Refused++
	}
}

// abnormalEnd tells whether a session ended otherwise than by its client's wish.
func abnormalEnd(reason string) bool {
	switch reason {
	case "client_terminated", "left_before_login", "left_while_waiting", "token_discovery":
		return false
	}
	return true
}

func count(by map[string]*ReasonCount, s *Session) {
	c := by[s.EndReason]
	if c == nil {
		c = &ReasonCount{Reason: s.EndReason}
		by[s.EndReason] = c
	}
	c.Count++
	c.Last = s.Started
}

func addressOf(client string) string {
	host, _, err := net.SplitHostPort(client)
	if err != nil {
		return client
	}
	return host
}

// tally counts sessions by name.
type tally map[string]int64

func (t tally) add(name string) {
	if _, known := t[name]; !known && len(t) >= maxNames {
		name = otherNames
	}
	t[name]++
}

// shares gives the names, most sessions first.
func (t tally) shares() []Share {
	all := make([]Share, 0, len(t))
	for name, n := range t {
		all = append(all, Share{name, n})
	}
	slices.SortFunc(all, func(a, b Share) int {
		if rest := a.Name == otherNames; rest != (b.Name == otherNames) {
			if rest {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// finish puts in order what was gathered.
func (b *reviewer) finish() {
	r := &b.review
	r.Accounts = make([]AccountUse, 0, len(b.accounts))
	for _, name := range slices.Sorted(maps.Keys(b.accounts)) {
		a := b.accounts[name]
		a.People, a.Addresses, a.Programs, a.Databases = a.people.shares(), a.addresses.shares(), a.programs.shares(), a.databases.shares()
		r.Accounts = append(r.Accounts, a.AccountUse)
	}
	r.People = make([]PersonUse, 0, len(b.people))
	for _, name := range slices.Sorted(maps.Keys(b.people)) {
		p := b.people[name]
		p.Accounts, p.Addresses = p.accounts.shares(), p.addresses.shares()
		r.People = append(r.People, p.PersonUse)
	}
	r.NewPairs = make([]Pair, 0, len(b.pairs))
	for _, p := range b.pairs {
		r.NewPairs = append(r.NewPairs, *p)
	}
	slices.SortFunc(r.NewPairs, func(a, b Pair) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.User, b.User), cmp.Compare(a.Account, b.Account))
	})
	r.Refusals, r.Abnormal, r.Cancels = reasons(b.refusals), reasons(b.abnormal), []ReasonCount{}
	r.Days = make([]DayCount, 0, len(b.days))
	for key, n := range b.days {
		r.Days = append(r.Days, DayCount{key[0], key[1], n})
	}
	slices.SortFunc(r.Days, func(a, b DayCount) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Account, b.Account)) })
	r.Refusing = make([]RefusalCount, 0, len(b.refusing))
	for key, n := range b.refusing {
		r.Refusing = append(r.Refusing, RefusalCount{key[0], key[1], n})
	}
	slices.SortFunc(r.Refusing, func(a, b RefusalCount) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Reason, b.Reason)) })
}

func reasons(by map[string]*ReasonCount) []ReasonCount {
	all := make([]ReasonCount, 0, len(by))
	for _, c := range by {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}

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
