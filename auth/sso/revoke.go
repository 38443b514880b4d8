// Ending a login at the issuer (RFC 7009).

package sso

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Revoke makes the issuer forget the login: its refresh token, with which most
// issuers end the access tokens too, or the access token if there is no other. It returns
// nil if the issuer has no such endpoint or does not know the token any more.
func Revoke(ctx context.Context, c Config, t Tokens) error {
	c, err := c.of(t).complete()
	if err != nil {
		return err
	}
	defer c.HTTP.CloseIdleConnections()
	m, err := discover(ctx, c)
	if err != nil || m.Revocation == "" {
		return err
	}
	secret, hint := t.Refresh, "refresh_token"
	if secret == "" {
		secret, hint = t.Access, "access_token"
	}
	form := url.Values{"client_id": {c.ClientID}, "token": {secret.Reveal()}, "token_type_hint": {hint}}
	if c.ClientSecret != "" {
		form.Set("client_secret", c.ClientSecret.Reveal())
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("revoke the login: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, err := fetch(c.HTTP, request)
	if err != nil {
		return unreachable(ctx, c.Issuer, err)
	}
	if status == http.StatusOK {
		return nil
	}
	var answer struct {
		Code   string `json:"error"`
		Reason string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &answer) // without a code it is refused all the same
	switch answer.Code {
	case "invalid_token", "invalid_grant": // Google's words for one that is dead already
		return nil
	case "unsupported_token_type":
		if hint == "access_token" { // it ends by itself, soon
			return nil
		}
	}
	return (&flow{config: c}).refused(status, answer.Code, clean(answer.Reason, secret, c.ClientSecret))
}
