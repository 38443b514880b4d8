// The issuer itself: its address, its life, and which endpoints it has.

package authtest

import (
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
	DiscoveryPath  = "/.well-known/openid-configuration"
	KeysPath       = "/keys"
	AuthorizePath  = "/authorize"   // the login page
	TokenPath      = "/token"       // codes and refresh tokens become tokens
	DeviceCodePath = "/device/code" // a device asks for a code
	DevicePath     = "/device"      // the page where a person approves it
	RevokePath     = "/revoke"
	UserinfoPath   = "/userinfo"
)

// Issuer is a running OpenID Connect issuer. Safe for concurrent use.
type Issuer struct {
	options Options // filled; not changed once it runs
	url     string
	base    string // url without a slash at its end: endpoints are below it
	server  *http.Server
	serving sync.WaitGroup

	mu       sync.Mutex // guards all below
	keys     []signingKey
	extra    []map[string]any
	rotation int
	minted   int
	mode     Mode
	modes    map[string]Mode // of single endpoints, by path
	requests map[string]int
	asked    map[string]int // token requests by grant type

	codes   shelf[*code]   // authorization codes
	devices shelf[*device] // by device code
	waiting shelf[*device] // the same by user code
	grants  shelf[*grant]  // by family
	access  shelf[bearer]  // by access token
}

// New starts an issuer. The caller closes it.
func New(o Options) (*Issuer, error) {
	o = o.filled()
	if err := o.check(); err != nil {
		return nil, err
	}
	i := &Issuer{options: o, modes: map[string]Mode{}, requests: map[string]int{}, asked: map[string]int{}}
	if err := i.Rotate(); err != nil {
		return nil, err
	}
	if err := i.listen(); err != nil {
		return nil, err
	}
	return i, nil
}

func (i *Issuer) listen() error {
	l, err := net.Listen("tcp", i.options.Addr)
	if err != nil {
		return fmt.Errorf("listen as test issuer: %w", err)
	}
	i.url = "http://" + l.Addr().String() + i.options.Path
	i.base = strings.TrimSuffix(i.url, "/")
	i.server = &http.Server{
		Handler:           guard(i.misbehave(i.routes())),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader,
	}
	i.serving.Go(func() { _ = i.server.Serve(l) })
	return nil
}

func (i *Issuer) routes() http.Handler {
	mux := http.NewServeMux()
	add := func(method, path string, handler http.HandlerFunc) {
		if !slices.Contains(i.options.Without, path) {
			mux.HandleFunc(method+" "+strings.TrimSuffix(i.options.Path, "/")+path, handler)
		}
	}
	add("GET", DiscoveryPath, i.serveDiscovery)
	add("GET", KeysPath, i.serveKeys)
	add("GET", AuthorizePath, i.serveLoginPage)
	add("POST", AuthorizePath, sameOrigin(i.serveLogin))
	add("POST", TokenPath, i.serveToken)
	add("POST", DeviceCodePath, i.serveDeviceCode)
	add("GET", DevicePath, i.serveDevicePage)
	add("POST", DevicePath, sameOrigin(i.serveDeviceDecision))
	add("POST", RevokePath, i.serveRevoke)
	add("GET", UserinfoPath, i.serveUserinfo)
	add("POST", UserinfoPath, i.serveUserinfo)
	return mux
}

// URL is the issuer's name, as iss of its tokens has it.
func (i *Issuer) URL() string { return i.url }

// Audience is aud of its tokens, unless a login asked for another.
func (i *Issuer) Audience() string { return i.options.Audience }

// Algorithms are those it has a key for, the first one is Token's.
func (i *Issuer) Algorithms() []string { return slices.Clone(i.options.Algorithms) }

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
