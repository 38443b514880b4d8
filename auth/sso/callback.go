// The callback: a listener on loopback that waits for one answer (RFC 8252 section 7.3).

package sso

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"gprxy/auth"
)

const (
	callbackTimeout = 5 * time.Second // to read a request; to write a page
	maxCallback     = 32 << 10        // bytes of a request's head; Entra's codes have 2 kB
)

// answer is what the browser brought back with the right state. Nothing of it is checked yet.
type answer struct {
	code            auth.Secret
	issuer          string // RFC 9207; may be empty
	refused, reason string // error and error_description
}

// callback listens for the browser. It is made for one login and dies with it.
type callback struct {
	url   string // redirect_uri, as the issuer gets it
	state string // what the one answer that matters must bring

	host, path string // what a request must be for
	server     *http.Server
	serving    sync.WaitGroup
	answers    chan answer   // has room for the one
	ended      chan struct{} // closed by finish
	answered   chan struct{} // closed when the one request is done with

	mu      sync.Mutex // guards all below
	taken   bool       // the one answer has come
	strays  int        // requests to the right path with a wrong state
	outcome page       // set by finish
}

// listenForCallback listens where redirect says. The caller closes the result.
func listenForCallback(ctx context.Context, redirect *url.URL) (*callback, error) {
	listeners, port, err := listenOnLoopback(ctx, redirect.Hostname(), redirect.Port())
	if err != nil {
		return nil, err
	}
	u := *redirect
	u.Host = net.JoinHostPort(u.Hostname(), port)
	b := &callback{
		url: u.String(), state: rand.Text(),
		host: strings.TrimSuffix(u.Host, ":80"), path: u.EscapedPath(),
		answers: make(chan answer, 1), ended: make(chan struct{}), answered: make(chan struct{}),
	}
	if b.path == "" {
		b.path = "/"
	}
	b.server = &http.Server{
		Handler: b, ReadTimeout: callbackTimeout, IdleTimeout: callbackTimeout, MaxHeaderBytes: maxCallback,
		ErrorLog: silent(), // its lines would stand in the middle of a person's terminal
	}
	b.server.SetKeepAlivesEnabled(false)
	for _, l := range listeners {
		b.serving.Go(func() { _ = b.server.Serve(l) }) // it ends with ErrServerClosed, and close waits
	}
	return b, nil
}

// ServeHTTP answers everything but the one request that matters without ending the wait.
//
// That holds for a wrong state too: any web page open in the browser can send one here, and must
// not be able to end a login with it; nor must the tab of a login that was given up. No check of
// Origin: browsers send "null" when a posted login form redirects here.
func (b *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Host, b.host) { // DNS rebinding: a stranger's name that leads to this machine
		pageMisdirected.write(w)
		return
	}
	if r.Method != http.MethodGet || r.URL.EscapedPath() != b.path {
		http.NotFound(w, r)
		return
	}
	query, err := readQuery(r.URL.RawQuery)
	if err != nil || subtle.ConstantTimeCompare([]byte(query["state"]), []byte(b.state)) != 1 {
		b.mu.Lock()
		b.strays++
		b.mu.Unlock()
		pageStray.write(w)
		return
	}
	b.mu.Lock()
	first := !b.taken
	b.taken = true
	b.mu.Unlock()
	if !first {
		pageUsed.write(w)
		return
	}
	defer close(b.answered)
	b.answers <- answer{code: auth.Secret(query["code"]), issuer: query["iss"], refused: query["error"], reason: query["error_description"]}
	select {
	case <-b.ended:
		b.mu.Lock()
		outcome := b.outcome
		b.mu.Unlock()
		outcome.write(w)
	case <-r.Context().Done():
	}
}

// readQuery refuses a parameter that stands twice (RFC 6749 section 3.1): two
// readers could then see two different answers.
func readQuery(raw string) (map[string]string, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errors.New("the query cannot be read")
	}
	query := make(map[string]string, len(values))
	for name, list := range values {
		if len(list) != 1 {
			return nil, fmt.Errorf("%s stands twice", shown(name))
		}
		query[name] = list[0]
	}
	return query, nil
}

// wait returns the one answer, or why there is none.
func (b *callback) wait(ctx context.Context) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, loginLimit, errLoginLimit)
	defer cancel()
	select {
	case a := <-b.answers:
		return a, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && b.strays > 0:
		return answer{}, &StateError{Reason: fmt.Sprintf("its state is not the one that was sent (%d such came, and no other)", b.strays)}
	case errors.Is(context.Cause(ctx), errLoginLimit):
		return answer{}, &DeniedError{Code: "timeout"}
	}
	return answer{}, fmt.Errorf("wait for the browser to come back: %w", context.Cause(ctx))
}

// finish gives the browser that waits its page.
func (b *callback) finish(t Tokens, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outcome = outcomePage(t, err)
	close(b.ended)
}

// close ends the listeners and every connection, once the page has gone out.
// finish comes before it. It does not use Shutdown, which would wait for the
// connections that browsers open to spare.
func (b *callback) close() {
	b.mu.Lock()
	taken := b.taken
	b.mu.Unlock()
	if taken {
		<-b.answered // page.write has a limit
	}
	_ = b.server.Close()
	b.serving.Wait()
}
