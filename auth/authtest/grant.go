// What a login gives, and how it ends.

package authtest

import (
	"crypto/rand"
	"strings"
	"time"
)

// grant is what one login gave one client. All its tokens die with it.
type grant struct {
	asked
	login    string
	authTime time.Time
	family   string    // first half of all its refresh tokens
	secret   string    // second half of the one that is good now; empty: it has none
	expires  time.Time // of the refresh tokens
	revoked  bool      // guarded by the issuer's mutex, like secret
}

// newGrant is for callers that hold the mutex. It is nil if there is no room.
func (i *Issuer) newGrant(w asked, login string, authTime time.Time) *grant {
	now := i.options.Now()
	g := &grant{asked: w, login: login, authTime: authTime, family: i.newSecret(), expires: authTime.Add(i.options.RefreshLife)}
	if w.has("offline_access") && (w.consented || !i.options.ConsentOnly) {
		g.secret = rand.Text()
	}
	if !i.grants.put(g.family, g, now, now.Add(max(i.options.RefreshLife, i.options.AccessLife))) {
		return nil
	}
	return g
}

// refreshToken is for callers that hold the mutex.
func (g *grant) refreshToken() string {
	if g.secret == "" {
		return ""
	}
	return g.family + "." + g.secret
}

// grantOfRefresh finds the grant of a refresh token, one that was used already
// included. It is for callers that hold the mutex.
func (i *Issuer) grantOfRefresh(token string) (g *grant, current bool) {
	family, secret, _ := strings.Cut(token, ".")
	g, ok := i.grants.get(family, i.options.Now())
	if !ok || g.secret == "" {
		return nil, false
	}
	return g, sameSecret(g.secret, secret)
}

// grantOf finds the grant of a refresh or access token.
func (i *Issuer) grantOf(token string) *grant {
	i.mu.Lock()
	defer i.mu.Unlock()
	if b, ok := i.access.get(token, i.options.Now()); ok {
		return b.grant
	}
	g, _ := i.grantOfRefresh(token)
	return g
}

func (i *Issuer) end(g *grant) {
	i.mu.Lock()
	defer i.mu.Unlock()
	g.revoked = true
}

// Revoke ends the login that an access or refresh token is of, as the
// revocation endpoint does. It reports whether there was one. Access tokens
// stay good for whoever checks them without asking the issuer.
func (i *Issuer) Revoke(token string) bool {
	g := i.grantOf(token)
	if g == nil {
		return false
	}
	i.end(g)
	return true
}

// RevokeUser ends all logins of a person, as an administrator does, and counts them.
func (i *Issuer) RevokeUser(login string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	ended := 0
	for _, item := range i.grants.items {
		if g := item.value; g.login == login && !g.revoked {
			g.revoked = true
			ended++
		}
	}
	return ended
}

// newSecret is a text that nobody guesses, and a long one if Options say so.
func (i *Issuer) newSecret() string {
	if !i.options.LongCodes {
		return rand.Text()
	}
	var long strings.Builder
	for long.Len() < 2000 {
		long.WriteString(rand.Text())
	}
	return long.String()
}
