// Requests to the issuer: limited in time and size, redirects not followed.

package sso

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	requestTimeout  = 10 * time.Second
	maxResponseBody = 1 << 20
)

// limited returns a client that waits requestTimeout at most and follows no
// redirect: a POST repeated elsewhere would hand the code or the refresh token to
// whoever the redirect names.
func limited(client *http.Client) *http.Client {
	if client == nil {
		client = &http.Client{Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSHandshakeTimeout:    requestTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConns:           2,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		}}
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if own.Timeout == 0 || own.Timeout > requestTimeout {
		own.Timeout = requestTimeout
	}
	return &own
}

// fetch sends a request and returns the status and the body, which is at most maxResponseBody long.
func fetch(client *http.Client, request *http.Request) (int, []byte, error) {
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBody+1))
	if err != nil {
		return 0, nil, fmt.Errorf("read the answer of %s: %w", request.URL.Redacted(), err)
	}
	if len(body) > maxResponseBody {
		return 0, nil, fmt.Errorf("%s answered more than %d bytes", request.URL.Redacted(), maxResponseBody)
	}
	return response.StatusCode, body, nil
}

// boundTo sends every request under ctx. x/oauth2 makes the device
// authorization request without one, and does not close its answer's body:
// ending ctx does both.
type boundTo struct {
	ctx  context.Context
	next http.RoundTripper
}

func (b boundTo) RoundTrip(r *http.Request) (*http.Response, error) {
	return b.next.RoundTrip(r.WithContext(b.ctx))
}
