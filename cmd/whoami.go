// gprxy whoami: who is logged in, with which roles, until when.

package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gprxy/auth/sso"
	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"
)

func whoamiCommand() command {
	return command{
		name:    "whoami",
		summary: "who is logged in, roles, and until when",
		about: "Reads the login without asking the issuer. Exit code 1 when nobody is logged in, or the login has expired and cannot be " +
			"renewed.",
		examples: []example{
			{"gprxy whoami", "every login, if there are several"},
			{"gprxy whoami --json", "one JSON object a line"},
		},
		options: func() options { return &whoamiOptions{} },
	}
}

type whoamiOptions struct {
	json bool
	sso  *ssoSettings
}

func (o *whoamiOptions) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.json, "json", false, "one JSON object a line")
	settings.AddPersonFlags(fs, settings.WhichLogin...)
}

func (o *whoamiOptions) validate(c *call) (err error) {
	o.sso, err = loadSSO(c)
	return err
}

func (o *whoamiOptions) run(ctx context.Context, c *call) error {
	logins, err := o.logins(ctx)
	if err != nil {
		return err
	}
	var last error = &sso.NoLoginError{Path: o.sso.store.Path, Issuer: o.sso.login.Issuer}
	alive := false
	for _, t := range logins {
		if t.Refresh == "" && !t.Expires.IsZero() && !t.Expires.After(c.Now()) {
			last = &sso.ExpiredError{Issuer: t.Issuer, User: t.User, Expires: t.Expires}
		} else {
			alive = true
		}
		if err := o.show(c, t); err != nil {
			return err
		}
	}
	if !alive {
		return last
	}
	return nil
}

// logins are those that the settings allow; GPRXY_TOKEN alone if it is set.
func (o *whoamiOptions) logins(ctx context.Context) ([]sso.Tokens, error) {
	if o.sso.token != "" {
		t, err := o.sso.givenToken()
		return []sso.Tokens{t}, err
	}
	all, err := o.sso.store.All(ctx)
	var logins []sso.Tokens
	for _, t := range all {
		want := o.sso.login
		if fits(want.Issuer, t.Issuer) && fits(want.ClientID, t.ClientID) && fits(want.Audience, t.Audience) {
			logins = append(logins, t)
		}
	}
	return logins, err
}

func fits(wanted, is string) bool { return wanted == "" || wanted == is }

type whoamiLine struct {
	User      *string  `json:"user"`
	Subject   *string  `json:"subject"`
	Roles     []string `json:"roles"`
	Issuer    *string  `json:"issuer"`
	ClientID  *string  `json:"client_id"`
	Audience  *string  `json:"audience"`
	Expires   *string  `json:"expires"`
	Renewable bool     `json:"renewable"`
	Source    string   `json:"source"`
}

func (o *whoamiOptions) source() string {
	if o.sso.token != "" {
		return settings.TokenVariable
	}
	return o.sso.store.Path
}

func (o *whoamiOptions) show(c *call, t sso.Tokens) error {
	if o.json {
		line := whoamiLine{
			User: absent(t.User), Subject: absent(t.Subject), Roles: append([]string{}, t.Roles...), Issuer: absent(t.Issuer),
			ClientID: absent(t.ClientID), Audience: absent(t.Audience), Renewable: t.Refresh != "", Source: o.source(),
		}
		if !t.Expires.IsZero() {
			line.Expires = absent(t.Expires.UTC().Format("2006-01-02T15:04:05.000000Z"))
		}
		return terminal.WriteJSON(c.Out, line)
	}
	roles := strings.Join(t.Roles, ", ")
	for _, row := range [][2]string{
		{"", t.User}, {"  roles    ", first(roles, "none")}, {"           ", o.sso.roleHint(t)}, {"  issuer   ", t.Issuer},
		{"  audience ", t.Audience},
		{"  expires  ", o.expiry(t, c.Now())}, {"  from     ", o.source()},
	} {
		if row[1] != "" {
			fmt.Fprintf(c.Out, "%s%s\n", row[0], terminal.Printable(row[1]))
		}
	}
	return nil
}

func absent(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// roleHint says what to do when a token says nothing of roles at all: "" if it does. Somebody who is in no group has an empty
// claim, and no setting helps them.
func (s *ssoSettings) roleHint(t sso.Tokens) string {
	if len(t.Roles) > 0 || t.RoleClaim(s.login.RolesClaim) {
		return ""
	}
	why := "the token has no claim for roles"
	if s.login.RolesClaim != "" {
		why = "the token has no claim " + s.login.RolesClaim + " (ROLES_CLAIM)"
	}
	if s.token != "" {
		return why + ": whoever asks the issuer for it may have to ask for another scope, such as groups"
	}
	scopes := s.login.Scopes
	if len(scopes) == 0 {
		scopes = sso.DefaultScopes()
	}
	if slices.Contains(scopes, "groups") {
		return why + ", though OIDC_SCOPES asks for groups: the issuer must put them into it for this client"
	}
	return why + `. If the issuer gives groups for a scope, log in with it: OIDC_SCOPES="` + strings.Join(scopes, " ") + ` groups" gprxy login`
}

// expiry says when a login ends, and whether that matters.
func (o *whoamiOptions) expiry(t sso.Tokens, now time.Time) string {
	renewed := ", renewed when needed"
	switch {
	case o.sso.token != "":
		renewed = ", not renewed"
	case t.Refresh == "":
		renewed = ", not renewed, as the issuer gave no refresh token: log in again then"
	}
	switch {
	case t.Expires.IsZero():
		return "not known" + renewed
	case !t.Expires.After(now):
		return clock(t.Expires, now) + ", which is over" + strings.TrimSuffix(renewed, " then")
	}
	return clock(t.Expires, now) + renewed
}
