// What the issuer says of itself: OpenID Connect Discovery.
// https://openid.net/specs/openid-connect-discovery-1_0.html

package sso

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

const wellKnown = "/.well-known/openid-configuration"

// metadata is the part of the discovery document that is used.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Device        string   `json:"device_authorization_endpoint"`
	Revocation    string   `json:"revocation_endpoint"`
	Scopes        []string `json:"scopes_supported"`
	SendsIssuer   bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
}

// discover asks the issuer for its endpoints. c is complete.
func discover(ctx context.Context, c Config) (metadata, error) {
	var m metadata
	address := strings.TrimSuffix(c.Issuer, "/") + wellKnown
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return m, fmt.Errorf("discover the issuer: %w", err)
	}
	status, body, err := fetch(c.HTTP, request)
	if err != nil {
		return m, unreachable(ctx, c.Issuer, err)
	}
	if status == http.StatusNotFound || status == http.StatusGone {
		return m, &ConfigError{Setting: "OIDC_ISSUER", Wrong: fmt.Sprintf("is %s, but there is no issuer: %s answered %d", shown(c.Issuer),
			shown(address), status),
			Instead: "set it to exactly what the issuer calls itself, with the whole path (such as /realms/NAME or /oauth2/default)"}
	}
	if status != http.StatusOK {
		return m, &UnreachableError{Issuer: c.Issuer, Answered: true, Err: fmt.Errorf("%s answered %d, not 200", address, status)}
	}
	if json.Unmarshal(body, &m) != nil {
		return m, &UnreachableError{Issuer: c.Issuer, Answered: true, Err: fmt.Errorf("%s answered something that is no discovery document",
			address)}
	}
	if m.Issuer != c.Issuer {
		return m, &ConfigError{Setting: "OIDC_ISSUER", Wrong: "is " + shown(c.Issuer) + ", but the issuer there calls itself " + shown(m.Issuer),
			Instead: "if that is the issuer you mean, set it to exactly this"}
	}
	return m, m.check()
}

// check refuses endpoints to which a code or a token would travel in the clear.
func (m metadata) check() error {
	for _, endpoint := range []struct{ name, address string }{
		{"authorization_endpoint", m.Authorization}, {"token_endpoint", m.Token},
		{"device_authorization_endpoint", m.Device}, {"revocation_endpoint", m.Revocation},
	} {
		if endpoint.address == "" {
			continue
		}
		u, err := checkAddress(endpoint.address)
		if err == nil && u.Scheme == "http" && strings.HasPrefix(m.Issuer, "https:") {
			err = errors.New("it must use https as the issuer does")
		}
		if err != nil {
			return &UnreachableError{Issuer: m.Issuer, Answered: true, Err: fmt.Errorf("its %s %s cannot be used: %w", endpoint.name,
				shown(endpoint.address), err)}
		}
	}
	return nil
}

// unreachable wraps what a request ended with; the caller's own cancellation stays itself.
func unreachable(ctx context.Context, issuer string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask the issuer %s: %w", shown(issuer), context.Cause(ctx))
	}
	return &UnreachableError{Issuer: issuer, Err: err}
}
