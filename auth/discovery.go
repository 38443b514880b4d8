// Fetching an issuer's keys: OpenID Connect Discovery, then the key set it names.
// https://openid.net/specs/openid-connect-discovery-1_0.html

package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	requestTimeout  = 5 * time.Second
	maxResponseBody = 1 << 20
	wellKnown       = "/.well-known/openid-configuration"
)

// issuerClient talks to one issuer.
type issuerClient struct {
	issuer string
	http   *http.Client
}

func newIssuerClient(issuer string, client *http.Client) *issuerClient {
	if client == nil {
		client = &http.Client{Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSHandshakeTimeout:    requestTimeout,
			ResponseHeaderTimeout:  requestTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConns:           2,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		}}
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &issuerClient{issuer: issuer, http: &own}
}

// fetchKeys asks discovery each time, so that an issuer may move its key set.
func (c *issuerClient) fetchKeys(ctx context.Context) (keySet, error) {
	address := strings.TrimSuffix(c.issuer, "/") + wellKnown
	body, err := c.get(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("discover the issuer: %w", err)
	}
	keys, err := c.readDiscovery(body)
	if err != nil {
		return nil, fmt.Errorf("discover the issuer at %s: %w", address, err)
	}
	if body, err = c.get(ctx, keys); err != nil {
		return nil, fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	set, err := parseKeySet(body)
	if err != nil {
		return nil, fmt.Errorf("fetch the issuer's keys at %s: %w", keys, err)
	}
	return set, nil
}

// readDiscovery returns the address of the key set.
func (c *issuerClient) readDiscovery(body []byte) (string, error) {
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return "", fmt.Errorf("read the discovery document: %w", err)
	}
	if document.Issuer != c.issuer {
		return "", fmt.Errorf("the issuer calls itself %s, the settings call it %s; set OIDC_ISSUER to exactly what the issuer says",
			quote(document.Issuer), quote(c.issuer))
	}
	keys, err := checkAddress(document.Keys)
	if err != nil {
		return "", fmt.Errorf("jwks_uri %s: %w", quote(document.Keys), err)
	}
	if keys.Scheme == "http" && strings.HasPrefix(c.issuer, "https:") {
		return "", fmt.Errorf("jwks_uri %s must use https as the issuer does", quote(document.Keys))
	}
	return document.Keys, nil
}

func (c *issuerClient) get(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d, not 200", address, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", address, err)
	}
	if len(body) > maxResponseBody {
		return nil, fmt.Errorf("%s answered more than %d bytes", address, maxResponseBody)
	}
	return body, nil
}

// checkAddress accepts https anywhere and plain http on loopback only: keys
// that came over a plain network prove nothing.
func checkAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, errors.New("it is not an address such as https://login.example.com")
	}
	if u.User != nil || u.Fragment != "" {
		return nil, errors.New("it must not contain a user or a fragment")
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && isLoopback(u.Hostname()):
	default:
		return nil, errors.New("it must begin with https:// (http:// only on loopback)")
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
