// Settings of what a token must say, and how it is read.

package settings

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"gprxy/auth"
)

// claimSettings are about what a token says. They stand among those of the login.
func claimSettings() []Row {
	return []Row{
		{Name: "REQUIRED_CLAIMS", None: "none", Meaning: "claims that a token must have: NAME=VALUE with commas between, or a bar between " +
			"several values of one; such as hd=example.com,email_verified=true",
			parse: requiredClaims},
		{Name: "USER_CASE", Default: UserCaseFold, Meaning: "whether names of people that look like email addresses are the same person in " +
			"upper " +
			"and lower case (fold) or not (exact)",
			Allowed: []string{UserCaseFold, UserCaseExact}, parse: text(func(s *Settings) *string { return &s.SignOn.UserCase })},
		{Name: "AUDIENCE_CLAIM", Default: "aud", Meaning: "the claim that holds AUDIENCE; client_id for Cognito's access tokens, which have " +
			"no aud",
			Allowed: []string{"aud", "client_id"}, parse: text(func(s *Settings) *string { return &s.SignOn.AudienceClaim })},
		{Name: "CLOCK_SKEW", Default: "30s", Meaning: "how far the issuer's clock may differ from this machine's",
			parse: duration(time.Second, 10*time.Minute, func(s *Settings) *time.Duration { return &s.SignOn.ClockSkew })},
	}
}

func requiredClaims(s *Settings, _ *loader, t string) *badValue {
	required, err := auth.ParseRequiredClaims(t)
	if err != nil {
		return &badValue{"cannot be read: " + err.Error(), "write NAME=VALUE with commas between, such as hd=example.com,email_verified=true"}
	}
	s.SignOn.Required = required
	return nil
}

// isOpen says who can have a token of the issuer if that is about anybody, as far as its address tells; else "".
func isOpen(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	host, tenant, _ := strings.Cut(strings.ToLower(u.Host+u.Path), "/")
	tenant, _, _ = strings.Cut(tenant, "/")
	switch {
	case host == "accounts.google.com":
		return "anybody with a Google account"
	case host == "login.microsoftonline.com" && slices.Contains([]string{"common", "organizations", "consumers", personalAccounts}, tenant):
		return "anybody with a Microsoft account"
	case host == "gitlab.com", host == "token.actions.githubusercontent.com":
		return "anybody with an account there"
	case strings.HasSuffix(host, ".auth0.com"), strings.HasPrefix(host, "cognito-idp.") && strings.HasSuffix(host, ".amazonaws.com"):
		return "where sign-up is on, as it is by default, anybody"
	}
	return ""
}

// personalAccounts is the tenant of Microsoft's own personal accounts.
const personalAccounts = "9188040d-6c67-4c5b-b112-36a304b66dad"

// warnIfOpen tells what DEFAULT_ROLE means with an issuer that is open to the world.
func warnIfOpen(s *Settings, l *loader) {
	if who := isOpen(s.OIDCIssuer); who != "" && s.Roles.Default != "" && len(s.SignOn.Required) == 0 && !l.bad("REQUIRED_CLAIMS") {
		l.warn("%s can get a token of %s, and DEFAULT_ROLE (%s) lets them all in: set REQUIRED_CLAIMS to what only your people have (with "+
			"Google hd=YOUR-DOMAIN)",
			who, s.OIDCIssuer, s.Roles.Default)
	}
}
