// The ways in which the issuer can misbehave.

package authtest

import (
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
)

// SetMode changes how requests from now on are answered.
func (i *Issuer) SetMode(m Mode) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mode = m
}

func (i *Issuer) currentMode() Mode {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.mode
}

func (i *Issuer) misbehave(next http.Handler) http.Handler {
	base := strings.TrimSuffix(i.options.Path, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.requests[strings.TrimPrefix(r.URL.Path, base)]++
		mode := i.mode
		i.mu.Unlock()
		switch mode {
		case Down:
			panic(http.ErrAbortHandler) // net/http's way to drop the connection
		case Slow:
			<-r.Context().Done()
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

func writeForever(w http.ResponseWriter) {
	spaces := []byte(strings.Repeat(" ", 64<<10))
	for {
		if _, err := w.Write(spaces); err != nil {
			return
		}
	}
}
