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
	url string // redirect_uri, as the issuer gets it

	host, path string // what a request must be for
	server     *http.Server
	serving    sync.WaitGroup

	mu     sync.Mutex // guards all below
	strays int        // requests to the right path with a wrong state
	round  *round     // the visit to the issuer that is waited for
}

// round is one visit to the issuer, which one answer ends.
type round struct {
	state    string        // what the one answer that matters must bring
	answers  chan answer   // has room for the one
	ended    chan struct{} // closed by finish or sendOn
	answered chan struct{} // closed when the one request is done with

	// The callback's mutex guards these.
	taken   bool   // the one answer has come
	pasted  bool   // by the terminal: no request of a browser waits for a page
	outcome writer // set before ended is closed
}

// writer is what the browser gets at the end of a round: a page, or the way to the next one.
type writer interface{ write(w http.ResponseWriter) }

func newRound() *round {
	return &round{state: rand.Text(), answers: make(chan answer, 1), ended: make(chan struct{}), answered: make(chan struct{})}
}

// listenForCallback listens where the first of the redirects says that has a free port; busy, if not nil, is
// told of those before it. The caller closes the result.
func listenForCallback(ctx context.Context, redirects []*url.URL, busy func(*PortError)) (*callback, error) {
	taken := &PortError{}
	for _, redirect := range redirects {
		listeners, port, err := listenOnLoopback(ctx, redirect.Hostname(), redirect.Port())
		if err == nil {
			for _, e := range taken.others {
				if busy != nil {
					busy(e)
				}
			}
			return newCallback(redirect, listeners, port), nil
		}
		e, ok := errors.AsType[*PortError](err)
		if !ok {
			return nil, err
		}
		taken = &PortError{Address: e.Address, Err: e.Err, others: append(taken.others, e)}
	}
	return nil, taken
}

func newCallback(redirect *url.URL, listeners []net.Listener, port string) *callback {
	u := *redirect
	u.Host = net.JoinHostPort(u.Hostname(), port)
	b := &callback{url: u.String(), host: strings.TrimSuffix(u.Host, ":80"), path: u.EscapedPath(), round: newRound()}
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
	return b
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
	if err != nil {
		query = nil
	}
	this, verdict := b.take(query, false)
	switch verdict {
	case stray:
		pageStray.write(w)
		return
	case used:
		pageUsed.write(w)
		return
	}
	defer close(this.answered)
	select {
	case <-this.ended:
		b.mu.Lock()
		outcome := this.outcome
		b.mu.Unlock()
		outcome.write(w)
	case <-r.Context().Done():
	}
}

// verdict is what becomes of something that came as an answer.
type verdict int

const (
	taken verdict = iota // the one that is waited for
	stray                // another login's, or nobody's
	used                 // the one that is waited for came before it
)

// take judges an answer by its state and hands the right one to whoever waits.
func (b *callback) take(query map[string]string, pasted bool) (*round, verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	this := b.round
	switch {
	case subtle.ConstantTimeCompare([]byte(query["state"]), []byte(this.state)) != 1:
		b.strays++
		return nil, stray
	case this.taken:
		return nil, used
	}
	this.taken, this.pasted = true, pasted
	this.answers <- answer{code: auth.Secret(query["code"]), issuer: query["iss"], refused: query["error"], reason: query["error_description"]}
	return this, taken
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

// wait returns the one answer of this round, or why there is none.
func (b *callback) wait(ctx context.Context) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, loginLimit, errLoginLimit)
	defer cancel()
	select {
	case a := <-b.current().answers:
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

func (b *callback) current() *round {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.round
}

// again begins another round. The browser of the one before still waits, if pasted is false: sendOn lets it go.
func (b *callback) again() (before *round, pasted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before = b.round
	b.round = newRound()
	return before, before.pasted
}

// sendOn sends the browser that waits in an earlier round to another address of the issuer.
func (b *callback) sendOn(before *round, address string) {
	b.end(before, way{address})
	<-before.answered // before close can take the connection away; way.write has a limit
}

// finish gives the browser that waits its page.
func (b *callback) finish(t Tokens, err error) { b.end(b.current(), outcomePage(t, err)) }

func (b *callback) end(r *round, outcome writer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.outcome = outcome
	close(r.ended)
}

// close ends the listeners and every connection, once the page has gone out.
// finish comes before it. It does not use Shutdown, which would wait for the
// connections that browsers open to spare.
func (b *callback) close() {
	b.mu.Lock()
	last := b.round
	waits := last.taken && !last.pasted
	b.mu.Unlock()
	if waits {
		<-last.answered // page.write has a limit
	}
	_ = b.server.Close()
	b.serving.Wait()
}
