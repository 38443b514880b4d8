// Settings of how clients present a token, and of what its expiry means.

package settings

import (
	"slices"
	"strings"
	"time"

	"gprxy/auth"
	"gprxy/auth/sso"
)

// The values of CLIENT_AUTH and ON_TOKEN_EXPIRY.
const (
	ClientAuthPassword = "password"
	ClientAuthOAuth    = "oauth"

	ExpiryAllow      = "allow"
	ExpiryDisconnect = "disconnect"

	UserCaseFold  = "fold"
	UserCaseExact = "exact"
)

// SignOn is the part of Settings about tokens beyond the password prompt.
type SignOn struct {
	ClientAuth   string   // ClientAuthPassword or ClientAuthOAuth
	Scopes       []string // what the issuer is asked for, by gprxy and by clients without a token
	oldScopes    []string // OAUTH_SCOPE, the older name
	ClientID     string   // the client that gprxy is at the issuer; set when DeviceLogin is
	ClientSecret auth.Secret

	DeviceLogin    bool
	DeviceLoginMax int

	OnExpiry    string // ExpiryAllow or ExpiryDisconnect
	ExpiryGrace time.Duration

	Required      []auth.RequiredClaim // without which nobody may come
	UserCase      string               // UserCaseFold or UserCaseExact
	AudienceClaim string               // aud, or client_id for Cognito's access tokens
	ClockSkew     time.Duration
}

func signOnSettings() []Row {
	return []Row{
		{Name: "CLIENT_AUTH", Default: ClientAuthPassword, Meaning: "what clients are asked for that do not choose with gprxy.auth: a password " +
			"(which may be a token), or a token with OAUTHBEARER",
			Allowed: []string{ClientAuthPassword, ClientAuthOAuth},
			parse:   text(func(s *Settings) *string { return &s.SignOn.ClientAuth })},
		{Name: "OIDC_SCOPES", None: "openid profile email", Meaning: "the scopes that the issuer is asked for, by OAUTHBEARER clients and by " +
			"gprxy.auth=device, such as one for groups; openid is always among them, offline_access never",
			parse: scopes(func(s *Settings) *[]string { return &s.SignOn.Scopes })},
		{Name: "OAUTH_SCOPE", None: "none", Meaning: "the older name of OIDC_SCOPES",
			parse: scopes(func(s *Settings) *[]string { return &s.SignOn.oldScopes })},
		{Name: "DEVICE_LOGIN", Default: "off", Meaning: "whether a client may ask with gprxy.auth=device for a login with the browser",
			Allowed: []string{"on", "off"}, parse: onOff(func(s *Settings) *bool { return &s.SignOn.DeviceLogin })},
		{Name: "DEVICE_LOGIN_MAX", Default: "100", Meaning: "how many such logins may be under way at once",
			parse: count(func(s *Settings) *int { return &s.SignOn.DeviceLoginMax })},
		{Name: "OIDC_CLIENT_ID", None: "required with DEVICE_LOGIN",
			Meaning: "the client that gprxy is at the issuer: a public one that may use the device grant; AUTH0_NATIVE_CLIENT_ID is the same",
			parse:   text(func(s *Settings) *string { return &s.SignOn.ClientID })},
		{Name: "OIDC_CLIENT_SECRET", None: "none", Meaning: "only for issuers that give such clients a secret (Google)", Secret: true,
			parse: secret(func(s *Settings) *auth.Secret { return &s.SignOn.ClientSecret })},
		{Name: "ON_TOKEN_EXPIRY", Default: ExpiryAllow, Meaning: "what happens to a session whose token expires",
			Allowed: []string{ExpiryAllow, ExpiryDisconnect},
			parse:   text(func(s *Settings) *string { return &s.SignOn.OnExpiry })},
		{Name: "TOKEN_EXPIRY_GRACE", Default: "1m", Meaning: "with disconnect: how long a transaction may outlive the token",
			parse: duration(0, 24*time.Hour, func(s *Settings) *time.Duration { return &s.SignOn.ExpiryGrace })},
	}
}

func checkSignOn(s *Settings, l *loader) {
	takeClientID(s, l)
	warnIfOpen(s, l)
	takeScopes(s, l)
	issuerTold := l.bad("OIDC_ISSUER") || l.bad("AUTH0_TENANT")
	if s.TokenLogin() || issuerTold {
		if s.SignOn.DeviceLogin && s.SignOn.ClientID == "" {
			l.problem("OIDC_CLIENT_ID", "is not set, but DEVICE_LOGIN is on",
				"set it to a public client of the issuer that may use the device grant, or DEVICE_LOGIN=off")
		}
		return
	}
	const without = "OIDC_ISSUER is not set"
	if s.SignOn.ClientAuth == ClientAuthOAuth && !l.bad("CLIENT_AUTH") {
		l.problem("CLIENT_AUTH", "is oauth, but "+without, "set OIDC_ISSUER and AUDIENCE, or CLIENT_AUTH=password")
	}
	if s.SignOn.DeviceLogin && !l.bad("DEVICE_LOGIN") {
		l.problem("DEVICE_LOGIN", "is on, but "+without, "set OIDC_ISSUER and AUDIENCE, or DEVICE_LOGIN=off")
	}
}

// takeClientID lets AUTH0_NATIVE_CLIENT_ID stand in for OIDC_CLIENT_ID.
func takeClientID(s *Settings, l *loader) {
	if s.SignOn.ClientID != "" {
		return
	}
	if id, ok := l.lookup(Row{Name: "AUTH0_NATIVE_CLIENT_ID"}, "AUTH0_NATIVE_CLIENT_ID"); ok {
		s.SignOn.ClientID = id.text
	}
}

// scopes is a setting that lists scopes.
func scopes(field func(*Settings) *[]string) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, _ *loader, text string) *badValue {
		list, err := sso.ReadScopes(text)
		if err != nil {
			return &badValue{err.Error(), "set it to words with blanks between, such as: openid profile email groups"}
		}
		*field(s) = list
		return nil
	}
}

// takeScopes lets OAUTH_SCOPE stand in for OIDC_SCOPES and fills in the default. offline_access asks for
// a refresh token, which nobody here would use: the setting is often the one of people's own gprxy login.
func takeScopes(s *Settings, l *loader) {
	list := s.SignOn.Scopes
	if differ := len(list) > 0 && len(s.SignOn.oldScopes) > 0 && !slices.Equal(list, s.SignOn.oldScopes); differ {
		l.problem("OIDC_SCOPES", "and OAUTH_SCOPE differ", "set OIDC_SCOPES alone: OAUTH_SCOPE is its older name")
	}
	if len(list) == 0 {
		list = s.SignOn.oldScopes
	}
	if len(list) == 0 {
		list = strings.Fields("openid profile email")
	}
	list = slices.DeleteFunc(slices.Clone(list), func(scope string) bool { return scope == "openid" || scope == "offline_access" })
	s.SignOn.Scopes, s.SignOn.oldScopes = append([]string{"openid"}, list...), nil
}
