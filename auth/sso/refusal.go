// What an endpoint of the issuer answered, turned into an error of ours.

package sso

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"gprxy/auth"
)

// refusal translates what x/oauth2 returned. Its errors never go further: they
// may hold the whole answer, tokens included. secrets are those that were sent.
func (f *flow) refusal(ctx context.Context, err error, secrets ...auth.Secret) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return f.refused(status(refused.Response), refused.ErrorCode, clean(refused.ErrorDescription, secrets...))
	}
	if _, ok := errors.AsType[*url.Error](err); ok || ctx.Err() != nil {
		return unreachable(ctx, f.config.Issuer, err)
	}
	return &UnreachableError{Issuer: f.config.Issuer, Answered: true,
		Err: errors.New("it answered something else than the standard says (RFC 6749)")}
}

func status(r *http.Response) int {
	if r == nil {
		return 0
	}
	return r.StatusCode
}

// refused is for an error code of RFC 6749 section 5.2, RFC 8628 section 3.5 or RFC 8707 section 2.
func (f *flow) refused(status int, code, reason string) error {
	c := f.config
	switch code {
	case "":
		return &UnreachableError{Issuer: c.Issuer, Answered: true, Err: fmt.Errorf("it answered %d without saying why", status)}
	case "server_error", "temporarily_unavailable":
		return &UnreachableError{Issuer: c.Issuer, Answered: true, Err: errors.New("it answered " + code + colon(reason))}
	case "invalid_client", "unauthorized_client":
		return &ConfigError{Setting: "OIDC_CLIENT_ID", Wrong: "is " + shown(c.ClientID) + ", which the issuer does not allow this (" + code +
			")" + colon(reason),
			Instead: "use the id of a native (public) client with the authorization code, device and refresh grants"}
	case "invalid_scope":
		return &ConfigError{Setting: "OIDC_SCOPES", Wrong: "(" + shown(strings.Join(f.oauth.Scopes, " ")) +
			") has a scope that the issuer does not give this client (invalid_scope)" + colon(reason),
			Instead: "set it to scopes that the client may ask for, or allow them for the client at the issuer"}
	case "invalid_target":
		return &ConfigError{Setting: "AUDIENCE", Wrong: "is " + shown(c.Audience) + ", which the issuer does not know" + colon(reason),
			Instead: "set it to what the proxy's own AUDIENCE is"}
	}
	return &DeniedError{Issuer: c.Issuer, Code: code, Reason: reason}
}

// isPassing reports whether asking again may help.
func isPassing(err error) bool {
	_, ok := errors.AsType[*UnreachableError](err)
	return ok
}
