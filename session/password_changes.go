package session

import (
	"strings"
	"sync"
	"time"

	"gprxy/store"
)

// A passwordChange is what is known of the last time that somebody changed an account's password through this gprxy.
type passwordChange struct {
	user, session string
	at            time.Time
}

// passwordChanges are remembered to explain why PostgreSQL refuses gprxy's password. Safe for concurrent use.
type passwordChanges struct {
	mu   sync.Mutex
	last map[string]passwordChange // by account
}

const maxPasswordChanges = 1000

func (p *passwordChanges) note(account string, change passwordChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = map[string]passwordChange{}
	}
	if _, known := p.last[account]; known || len(p.last) < maxPasswordChanges {
		p.last[account] = change
	}
}

func (p *passwordChanges) of(account string) (passwordChange, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change, known := p.last[account]
	return change, known
}

// noteAltered records that the session changed an account.
func (s *session) noteAltered(f store.AccountAltered) {
	s.handler.Events.Enqueue(s.client.event(f))
	s.client.log.Warn("a session altered a role of PostgreSQL's", "user", s.served.identity.User, "account", f.Account, "service_account",
		f.ServiceAccount,
		"what", strings.Join(f.What, ","))
	for _, what := range f.What {
		if what == store.AlteredPassword && f.Account != "" {
			s.handler.passwordChanges.note(f.Account, passwordChange{user: s.served.identity.User, session: s.client.id, at: time.Now()})
		}
	}
}
