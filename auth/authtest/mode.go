// The ways in which the issuer can misbehave.

package authtest

import (
	"io"
	"net/http"
	"strings"
)

// Mode is how the issuer answers.
type Mode int

const (
	Up       Mode = iota // as it should
	Down                 // the connection breaks without an answer
	Slow                 // no answer until the client leaves or the issuer closes
	Failing              // status 500
	Garbage              // status 200 and bytes that are no JSON
	Endless              // the right answer, then blanks without end
	Redirect             // status 302 to an address that has the right answer
	Renamed              // discovery names another issuer; the rest works

	// These touch the ID token of an otherwise right answer.
	WrongNonce  // its nonce is another login's
	OtherClient // its aud is another client
	ExpiredID   // it has expired an hour ago
)

// SetMode changes how requests from now on are answered, at every endpoint.
func (i *Issuer) SetMode(m Mode) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mode = m
	clear(i.modes)
}

// SetModeAt changes how requests for one path, such as TokenPath, are answered,
// until the next SetMode.
func (i *Issuer) SetModeAt(path string, m Mode) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.modes[path] = m
}

func (i *Issuer) currentMode(path string) Mode {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.modeOf(path)
}

// modeOf is for callers that hold the mutex.
func (i *Issuer) modeOf(path string) Mode {
	if mode, ok := i.modes[path]; ok {
		return mode
	}
	return i.mode
}

func (i *Issuer) misbehave(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch i.countRequest(r.URL.Path) {
		case Down:
			panic(http.ErrAbortHandler) // net/http's way to drop the connection
		case Slow:
			waitForever(w, r)
		case Failing:
			http.Error(w, "out of order", http.StatusInternalServerError)
		case Garbage:
			_, _ = w.Write([]byte("<html>Welcome to the hotel's network</html>"))
		case Endless:
			next.ServeHTTP(w, r)
			writeForever(w)
		case Redirect:
			if r.URL.RawQuery == "redirected" {
				next.ServeHTTP(w, r)
				return
			}
			http.Redirect(w, r, r.URL.Path+"?redirected", http.StatusFound)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// waitForever reads the request first: net/http notices that a client has left
// only once its body was read.
func waitForever(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxForm)); err == nil {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

func writeForever(w http.ResponseWriter) {
	spaces := []byte(strings.Repeat(" ", 64<<10))
	for {
		if _, err := w.Write(spaces); err != nil {
			return
		}
	}
}
