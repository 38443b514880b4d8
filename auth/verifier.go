// Verification of a token, from its text to an identity.

package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// DefaultClockSkew is how far the issuer's clock and ours may differ if no setting says so.
const DefaultClockSkew = 30 * time.Second

// VerifierConfig is what a Verifier needs to know.
type VerifierConfig struct {
	Issuer     string // exactly as the issuer writes it in iss, a slash at its end included
	Audience   string // must be among the token's aud
	RolesClaim string // name or dotted path; empty: roles, role, groups or a claim named …/roles
	UserClaim  string // name or dotted path; empty: email, else sub

	AudienceClaim string              // where the audience stands; empty: aud
	ExactUsers    bool                // names of people that look like email addresses are compared by case, too
	Required      []RequiredClaim     // without which nobody may come
	ClockSkew     time.Duration       // 0: DefaultClockSkew
	Mapped        func(r string) bool // tells which roles must not be lost among very many; nil: none

	Log  *slog.Logger     // for refreshes in the background; nil: silent
	HTTP *http.Client     // nil: an own one with time limits; redirects are never followed
	Now  func() time.Time // nil: time.Now
}

// Verifier checks tokens of one issuer against the keys it publishes. Keys are
// kept for up to 24 hours, so an unreachable issuer is survived. Safe for
// concurrent use; whoever made it calls Close.
type Verifier struct {
	config VerifierConfig
	cache  *keyCache
	proved proved
}

// NewVerifier checks the settings and reports every mistake at once. It does
// not use the network.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	var wrong []error
	if u, err := checkAddress(c.Issuer); err != nil {
		wrong = append(wrong, fmt.Errorf("the issuer %s: %w", quote(c.Issuer), err))
	} else if u.RawQuery != "" || u.ForceQuery {
		wrong = append(wrong, fmt.Errorf("the issuer %s: it must not contain a query", quote(c.Issuer)))
	}
	if c.Audience == "" {
		wrong = append(wrong, errors.New("the audience is missing; without it a token made for any other program would do"))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.ClockSkew == 0 {
		c.ClockSkew = DefaultClockSkew
	}
	if c.AudienceClaim == "" {
		c.AudienceClaim = "aud"
	}
	client := newIssuerClient(c.Issuer, c.HTTP)
	cache := &keyCache{fetch: client.fetchKeys, now: c.Now, log: c.Log.With("issuer", c.Issuer)}
	return &Verifier{config: c, cache: cache}, nil
}

// Refresh fetches the issuer's keys now, for an early warning at start.
func (v *Verifier) Refresh(ctx context.Context) error { return v.cache.refresh(ctx) }

// Close ends and waits for a refresh in the background. Verify goes on working
// with the keys at hand, but no longer asks the issuer.
func (v *Verifier) Close() { v.cache.close() }

// KeysFetched is when the issuer's keys were fetched last; zero: never. They are used for maxKeyAge at the most.
func (v *Verifier) KeysFetched() time.Time { return v.cache.fetchedAt() }

// Ready tells why no token can be verified now; nil if one can. It does not wait, but has the keys fetched where they are missing
// or old.
func (v *Verifier) Ready() error { return v.cache.atHand() }

// Verify checks a token and returns whom it names. Every error is a
// *TokenError. It waits for the issuer only if the token's key is not at hand.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	t, err := parseToken(token)
	if err != nil {
		return Identity{}, err
	}
	id, err := v.verify(ctx, t, token)
	if refused, ok := errors.AsType[*TokenError](err); ok && isPlainText(t.issuer) {
		refused.Issuer = t.issuer
	}
	return id, err
}

// verify asks for the issuer before the key: a token from elsewhere then gets
// the reason that helps, and costs the issuer no request.
func (v *Verifier) verify(ctx context.Context, t *parsedToken, token string) (Identity, error) {
	if _, accepted := algorithms[t.header.alg]; !accepted {
		return Identity{}, refuse(ReasonBadAlgorithm, quote(t.header.alg)+" is not accepted")
	}
	if t.issuer != v.config.Issuer {
		return Identity{}, refuse(ReasonWrongIssuer, "it is from "+quote(t.issuer)+", not from "+quote(v.config.Issuer))
	}
	if err := v.checkSignature(ctx, t); err != nil {
		return Identity{}, err
	}
	object, err := decodeObject(t.payload)
	if err != nil {
		return Identity{}, refuse(ReasonMalformed, "its payload "+err.Error())
	}
	id, err := v.identify(object)
	id.TokenID = claims(object).tokenID(token)
	if refused, ok := errors.AsType[*TokenError](err); ok {
		refused.User, refused.TokenID, refused.Expires, refused.Genuine = id.User, id.TokenID, id.Expires, true
		return Identity{}, refused
	}
	return id, nil
}

// checkSignature tries the keys at hand and, if none fits, fresh ones: the
// issuer may have changed its keys, even under an old id.
func (v *Verifier) checkSignature(ctx context.Context, t *parsedToken) error {
	keys, version, err := v.cache.get(ctx)
	if err != nil {
		return unavailable(err)
	}
	if v.proved.has(t, version) {
		return nil
	}
	refused := tryKeys(keys, t)
	if refused == nil {
		v.proved.add(t, version)
		return nil
	}
	keys, fresh, err := v.cache.newer(ctx, version)
	if err != nil {
		return unavailable(fmt.Errorf("no key at hand fits, and fresh ones cannot be had: %w", err))
	}
	if fresh == version {
		return refused
	}
	return tryKeys(keys, t)
}

func tryKeys(keys keySet, t *parsedToken) error {
	fitting, known := keys.candidates(t.header)
	if !known {
		return refuse(ReasonUnknownKey, "the issuer publishes no key "+quote(t.header.kid))
	}
	if len(fitting) == 0 {
		return refuse(ReasonBadAlgorithm, t.header.alg+" does not fit the issuer's key "+quote(t.header.kid))
	}
	for _, key := range fitting {
		if verifySignature(t.header.alg, key.key, t.input, t.signature) == nil {
			return nil
		}
	}
	return refuse(ReasonBadSignature, "")
}

// identify reads a proved token. With an error the identity is what could be
// read, for the record.
func (v *Verifier) identify(c claims) (Identity, error) {
	id := Identity{Method: MethodToken, Issuer: v.config.Issuer}
	if c["iss"] != v.config.Issuer {
		return id, refuse(ReasonWrongIssuer, "its iss is not exactly "+quote(v.config.Issuer))
	}
	var noUser, err error
	id.Spelled, noUser = c.user(v.config.UserClaim)
	if id.User = id.Spelled; !v.config.ExactUsers && c.userClaim(v.config.UserClaim) != "sub" {
		id.User = FoldUser(id.Spelled)
	}
	if err := v.checkAudience(c); err != nil {
		return id, err
	}
	if id.Expires, err = v.checkTimes(c); err != nil {
		return id, err
	}
	if err := c.require(v.config.Required); err != nil {
		return id, err
	}
	if noUser != nil {
		return id, noUser
	}
	if id.Subject, err = c.subject(); err != nil {
		return id, err
	}
	held := c.roles(v.config.RolesClaim, v.config.Mapped)
	id.Roles, id.RolesIgnored, id.RolesOverage = held.names, held.ignored, held.overage
	return id, nil
}

func (v *Verifier) checkAudience(c claims) error {
	claim := v.config.AudienceClaim
	audiences, err := c.audiences(claim)
	if err != nil {
		return err
	}
	if slices.Contains(audiences, v.config.Audience) {
		return nil
	}
	if len(audiences) == 0 {
		return refuse(ReasonWrongAudience, "it has no "+claim)
	}
	return refuse(ReasonWrongAudience, "it is for "+quote(audiences[0])+", not for "+quote(v.config.Audience))
}

// checkTimes returns when the token expires.
func (v *Verifier) checkTimes(c claims) (time.Time, error) {
	now := v.config.Now()
	expires, present, err := c.time("exp")
	if err != nil {
		return expires, err
	}
	if !present {
		return expires, refuse(ReasonBadClaims, "it has no exp")
	}
	if !now.Before(expires.Add(v.config.ClockSkew)) {
		return expires, refuse(ReasonExpired, "it expired at "+expires.Format(time.RFC3339))
	}
	for _, name := range []string{"nbf", "iat"} {
		begins, present, err := c.time(name)
		if err != nil {
			return expires, err
		}
		if present && now.Before(begins.Add(-v.config.ClockSkew)) {
			return expires, refuse(ReasonNotYetValid, name+" is "+begins.Format(time.RFC3339)+"; is a clock wrong?")
		}
	}
	return expires, nil
}

func refuse(reason, detail string) error { return &TokenError{Reason: reason, Detail: detail} }

func unavailable(err error) error { return &TokenError{Reason: ReasonIssuerUnavailable, Err: err} }
