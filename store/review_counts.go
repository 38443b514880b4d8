// Counting the sessions of a review while they pass.

package store

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"time"
)

// reviewer gathers the review while sessions pass.
type reviewer struct {
	review   Review
	seen     int64
	accounts map[string]*accountCounts
	people   map[string]*personCounts
	pairs    map[[2]string]*Pair
	refusals map[string]*ReasonCount
	abnormal map[string]*ReasonCount
	days     map[[2]string]int64
	refusing map[[2]string]int64
}

type accountCounts struct {
	AccountUse
	people, addresses, programs, databases nameCounts
}

type personCounts struct {
	PersonUse
	accounts, addresses nameCounts
}

func (b *reviewer) add(s *Session) {
	served := s.State != StateRefused && s.ServiceAccount != "" && s.EndReason != EndLeftWaiting
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
		a = &accountCounts{AccountUse: AccountUse{Account: s.ServiceAccount, First: s.Started}, people: nameCounts{}, addresses: nameCounts{},
			programs: nameCounts{}, databases: nameCounts{}}
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
		p = &personCounts{PersonUse: PersonUse{User: s.User, First: s.Started}, accounts: nameCounts{}, addresses: nameCounts{}}
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

// abnormalEnd tells whether a session ended otherwise than because its client left.
func abnormalEnd(reason string) bool {
	switch reason {
	case EndTerminated, EndLeftBeforeLogin, EndLeftWaiting, EndTokenDiscovery:
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

// nameCounts counts sessions by name.
type nameCounts map[string]int64

func (t nameCounts) add(name string) {
	if _, known := t[name]; !known && len(t) >= maxNames {
		name = OtherNames
	}
	t[name]++
}

// shares gives the names, most sessions first.
func (t nameCounts) shares() []Share {
	all := make([]Share, 0, len(t))
	for name, n := range t {
		all = append(all, Share{name, n})
	}
	slices.SortFunc(all, func(a, b Share) int {
		if rest := a.Name == OtherNames; rest != (b.Name == OtherNames) {
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
