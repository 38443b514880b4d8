// gprxy token: a valid token on stdout, and nothing else.

package cmd

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gprxy/auth/sso"
	"gprxy/cmd/settings"
)

func tokenCommand() command {
	return command{
		name:    "token",
		summary: "print a valid access token, renewed if needed",
		about: "Prints what to give as a password to gprxy, for tools that connect by themselves. Whoever has it is you until it expires: " +
			"do not put it on a command line or in a file.",
		examples: []example{
			{"gprxy token", "as in PGPASSWORD=$(gprxy token) psql -h proxy -p 7777 -d app"},
			{"gprxy token --oidc-issuer https://login.example.com/", "if you are logged in at several issuers"},
		},
		options: func() options { return &tokenOptions{} },
	}
}

type tokenOptions struct{ sso *ssoSettings }

func (o *tokenOptions) flags(fs *pflag.FlagSet) { settings.AddPersonFlags(fs, settings.WhichLogin...) }

func (o *tokenOptions) validate(c *call) (err error) {
	o.sso, err = loadSSO(c)
	return err
}

func (o *tokenOptions) run(ctx context.Context, c *call) error {
	t, err := o.sso.tokens(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.Out, t.Password().Reveal())
	return nil
}

// givenToken is GPRXY_TOKEN with what it says of itself. Nothing is verified: gprxy does that, here it
// only serves messages and the user name that is sent along.
func (s *ssoSettings) givenToken() (sso.Tokens, error) {
	var claims struct {
		Issuer  string  `json:"iss"`
		Subject string  `json:"sub"`
		Email   string  `json:"email"`
		Roles   any     `json:"roles"`
		Expires float64 `json:"exp"`
	}
	t := sso.Tokens{Access: s.token}
	parts := strings.Split(s.token.Reveal(), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return t, fmt.Errorf("%s is no token that can be read; set it to an access token of your issuer", settings.TokenVariable)
	}
	t.Issuer, t.Subject, t.User, t.Roles = claims.Issuer, claims.Subject, first(claims.Email, claims.Subject), texts(claims.Roles)
	if claims.Expires > 0 && claims.Expires < 1<<40 {
		t.Expires = time.Unix(int64(claims.Expires), 0)
		if !t.Expires.After(s.login.Now()) {
			return t, fmt.Errorf("%s expired at %s; set it to a fresh token", settings.TokenVariable, t.Expires.UTC().Format(time.RFC3339))
		}
	}
	return t, nil
}

// texts is a claim that is a text or a list of texts.
func texts(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}
