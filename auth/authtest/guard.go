// What holds for every request: who may ask, how much, and what a browser may do with the answer.

package authtest

import (
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxHeader = 64 << 10         // of a request, its address included
	maxForm   = 64 << 10         // of a request's body
	formLimit = 10 * time.Second // for a body to arrive
)

// guard answers only those who call the issuer by a loopback name: a web page
// that has its own name resolve to 127.0.0.1 must not log in as anyone.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "same-origin") // no-referrer would hide from sameOrigin where a form comes from
		header.Set("Cache-Control", "no-store")
		if !isLoopback(hostname(r.Host)) {
			http.Error(w, "this issuer is for this machine only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// sameOrigin keeps other sites from filling in our forms.
func sameOrigin(handler http.HandlerFunc) http.HandlerFunc {
	return http.NewCrossOriginProtection().Handler(handler).ServeHTTP
}

// readForm reads a form from the body: never from the address, which stands in
// logs and histories.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *refusal) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, refuse("invalid_request", "the body must be application/x-www-form-urlencoded")
	}
	limit := http.NewResponseController(w)
	_ = limit.SetReadDeadline(time.Now().Add(formLimit)) // an error: the connection has gone, and reading tells
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	_ = limit.SetReadDeadline(time.Time{})
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, &refusal{"invalid_request", "the body is too large", http.StatusRequestEntityTooLarge}
	}
	if err != nil {
		return nil, refuse("invalid_request", "the body could not be read")
	}
	return readParameters(string(data))
}

// readParameters refuses a parameter that is there twice (RFC 6749 section
// 3.1), of which two readers could take a different one each.
func readParameters(encoded string) (url.Values, *refusal) {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, refuse("invalid_request", "the parameters are not properly encoded")
	}
	for name, all := range values {
		if len(all) > 1 && name != "resource" && name != "audience" {
			return nil, refuse("invalid_request", "a parameter is there twice")
		}
	}
	return values, nil
}
