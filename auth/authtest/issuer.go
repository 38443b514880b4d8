// The issuer itself: its address, its life, and which endpoints it has.

package authtest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Where the endpoints are, below the issuer's URL; Requests counts by these.
const (
	DiscoveryPath = "/.well-known/openid-configuration"
	KeysPath      = "/keys"
)

// Options are what an Issuer may be told; the zero value is a good one.
type Options struct {
	Addr       string           // listen address on loopback; empty: 127.0.0.1 and any port
	Path       string           // end of the issuer's URL; "/" makes it end as Auth0's does; empty: none
	Audience   string           // aud of its tokens; empty: DefaultAudience
	Algorithms []string         // one key each, the first signs by default; empty: ES256, EdDSA. RSA keys (RS256, PS256 …) take longer to make
	Now        func() time.Time // nil: time.Now
}

// DefaultAudience is the aud of tokens when Options name none.
const DefaultAudience = "gprxy"

// Issuer is a running OpenID Connect issuer. Safe for concurrent use.
type Issuer struct {
	options Options
	url     string
	server  *http.Server
	serving sync.WaitGroup

	mu       sync.Mutex // guards all below
	keys     []signingKey
	extra    []map[string]any
	rotation int
	minted   int
	mode     Mode
	requests map[string]int
}

// New starts an issuer. The caller closes it.
func New(o Options) (*Issuer, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Audience == "" {
		o.Audience = DefaultAudience
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = []string{"ES256", "EdDSA"}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	i := &Issuer{options: o, requests: map[string]int{}}
	if err := i.Rotate(); err != nil {
		return nil, err
	}
	if err := i.listen(); err != nil {
		return nil, err
	}
	return i, nil
}

func (i *Issuer) listen() error {
	host, _, err := net.SplitHostPort(i.options.Addr)
	if err != nil {
		return fmt.Errorf("listen as test issuer: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("a test issuer listens on loopback only")
	}
	l, err := net.Listen("tcp", i.options.Addr)
	if err != nil {
		return fmt.Errorf("listen as test issuer: %w", err)
	}
	i.url = "http://" + l.Addr().String() + i.options.Path
	i.server = &http.Server{Handler: i.misbehave(i.routes()), ReadHeaderTimeout: 5 * time.Second}
	i.serving.Go(func() { _ = i.server.Serve(l) })
	return nil
}

func (i *Issuer) routes() http.Handler {
	base := strings.TrimSuffix(i.options.Path, "/")
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+base+DiscoveryPath, i.serveDiscovery)
	mux.HandleFunc("GET "+base+KeysPath, i.serveKeys)
	return mux
}

// URL is the issuer's name, as iss of its tokens has it.
func (i *Issuer) URL() string { return i.url }

// Audience is aud of its tokens.
func (i *Issuer) Audience() string { return i.options.Audience }

// Algorithms are those it has a key for, the first one is Token's.
func (i *Issuer) Algorithms() []string { return slices.Clone(i.options.Algorithms) }

// Requests counts what came for a path such as KeysPath, whatever the mode.
func (i *Issuer) Requests(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[path]
}

// Close ends the issuer at once, slow answers too.
func (i *Issuer) Close() error {
	err := i.server.Close()
	i.serving.Wait()
	return err
}

// TB is the part of testing.TB that Start uses; programs that are no tests use New.
type TB interface {
	Helper()
	Fatalf(format string, arguments ...any)
	Cleanup(f func())
}

// Start is New for a test; the issuer ends with it.
func Start(t TB, o Options) *Issuer {
	t.Helper()
	i, err := New(o)
	if err != nil {
		t.Fatalf("start the test issuer: %v", err)
	}
	t.Cleanup(func() { _ = i.Close() })
	return i
}
