// The HTTP side: /metrics, and whether gprxy lives, has started and takes logins.

package metrics

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"gprxy/auth"
)

// Check is one thing that readiness looks at.
type Check struct {
	Name string
	// Fault is what is wrong with it; nil if nothing is. It answers at once.
	Fault func() error
	// Advisory: a fault is shown, and gprxy is ready all the same.
	Advisory bool
}

// Server answers monitoring. It keeps answering while gprxy drains.
type Server struct {
	Metrics *Metrics
	TLS     *tls.Config        // nil: none
	Token   func() auth.Secret // that scrapers send as Bearer, as it is now; nil: nobody is asked
	Log     *slog.Logger

	checks   atomic.Pointer[[]Check] // nil until Watch
	draining atomic.Bool
	started  atomic.Bool
	http     *http.Server   // nil until Serve
	serving  sync.WaitGroup // the listener, and each connection
}

const (
	readTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
	idleTimeout  = 20 * time.Second // a scraper that comes more seldom connects again: others wait for its place
	closeTimeout = time.Second
	maxHeader    = 16 << 10 // bytes
	maxRequests  = 8        // of /metrics at a time
)

// MaxConnections is how many connections are open at a time; others wait. Strangers may reach the port, and descriptors are few.
const MaxConnections = 64

// Serve answers on the listener until Close, which closes it. It is called at most once, and not beside Close.
func (s *Server) Serve(l net.Listener) {
	l = netutil.LimitListener(l, MaxConnections)
	if s.TLS != nil {
		l = tls.NewListener(l, s.TLS)
	}
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadTimeout:       readTimeout,
		ReadHeaderTimeout: readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         s.count,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	s.serving.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.Log.Error("metrics and health are no longer answered", "error", err)
		}
	})
}

// count keeps account of the connections, each of which has a goroutine.
func (s *Server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.serving.Add(1)
	case http.StateClosed:
		s.serving.Done()
	}
}

// Watch says what readiness looks at. Until then gprxy is not ready.
func (s *Server) Watch(checks ...Check) { s.checks.Store(&checks) }

func (s *Server) watched() []Check {
	if all := s.checks.Load(); all != nil {
		return *all
	}
	return nil
}

// Started says that gprxy listens. Like Drain it does nothing on a nil Server.
func (s *Server) Started() {
	if s != nil {
		s.started.Store(true)
	}
}

// Drain says that no new clients are wanted.
func (s *Server) Drain() {
	if s != nil {
		s.draining.Store(true)
	}
}

// Close lets answers that are under way finish for a moment, closes all connections, and waits for all of the server.
func (s *Server) Close(ctx context.Context) {
	if s.http == nil {
		return
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer done()
	if s.http.Shutdown(ctx) != nil { // a connection on which nothing was said, or a slow reader
		s.http.Close()
	}
	s.serving.Wait()
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.requireToken(promhttp.HandlerFor(s.Metrics.registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: maxRequests,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	})))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /startupz", func(w http.ResponseWriter, _ *http.Request) {
		if s.started.Load() {
			say(w, http.StatusOK, "ok\n")
		} else {
			say(w, http.StatusServiceUnavailable, "starting\n")
		}
	})
	mux.HandleFunc("GET /readyz", s.ready)
	return mux
}

// requireToken lets only those through who have the token, if there is one. Liveness and readiness say nothing that needs it.
func (s *Server) requireToken(next http.Handler) http.Handler {
	if s.Token == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got, want := sha256.Sum256([]byte(strings.TrimLeft(sent, " "))), sha256.Sum256([]byte(s.Token().Reveal()))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			say(w, http.StatusUnauthorized, "the metrics of this gprxy need the token of METRICS_TOKEN: Authorization: Bearer TOKEN\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ready is 200 if a client that comes now can be let in as far as gprxy itself is concerned. With ?verbose it says what was looked
// at, a line each; what is wrong is said in any case. The texts of faults are for operators: with a token set, only who has it
// reads them.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	var lines []string
	line := func(mark, name, what string) { lines = append(lines, fmt.Sprintf("[%s]%s %s\n", mark, name, what)) }
	_, verbose := r.URL.Query()["verbose"]
	switch {
	case s.draining.Load():
		status = http.StatusServiceUnavailable
		line("-", "draining", "no new clients are wanted")
	case !s.started.Load():
		status = http.StatusServiceUnavailable
		line("-", "listening", "not yet")
	case verbose:
		line("+", "listening", "ok")
	}
	for _, c := range s.watched() {
		switch err := c.Fault(); {
		case err == nil && verbose:
			line("+", c.Name, "ok")
		case err == nil:
		case c.Advisory && verbose:
			line("!", c.Name, s.shown(err)+" (ready all the same)")
		case !c.Advisory:
			status = http.StatusServiceUnavailable
			line("-", c.Name, s.shown(err))
		}
	}
	if status == http.StatusOK {
		lines = append(lines, "ok\n")
	} else {
		lines = append(lines, "not ready\n")
	}
	say(w, status, strings.Join(lines, ""))
}

func (s *Server) shown(err error) string {
	if s.Token != nil {
		return "failed; the reason stands in gprxy's log"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, err.Error())
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}
