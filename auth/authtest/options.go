// What an issuer may be told, and what stands where nothing is said.

package authtest

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"
)

// Options are what an Issuer may be told; the zero value is a good one.
type Options struct {
	Addr       string           // listen address on loopback; empty: 127.0.0.1 and any port
	Path       string           // end of the issuer's URL; "/" makes it end as Auth0's does; empty: none
	Audience   string           // aud of its tokens; empty: DefaultAudience
	Audiences  []string         // others that a client may ask for with `audience` or `resource`
	Algorithms []string         // one key each, the first signs by default; empty: ES256, EdDSA. RSA keys (RS256, PS256 …) take longer to make
	Now        func() time.Time // nil: time.Now

	Users   map[string]Person // by login name; nil: DefaultUsers
	Clients []Client          // nil: DefaultClients
	Scopes  []string          // known beside openid, profile, email and offline_access

	AccessLife     time.Duration // of access tokens that a login gives; 0: an hour
	IDLife         time.Duration // of ID tokens; 0: an hour
	RefreshLife    time.Duration // how long after the login it can be refreshed; 0: 30 days
	DeviceLife     time.Duration // of a device code; 0: 10 minutes
	DeviceInterval time.Duration // between polls; 0: 5 s. Under a second clients are told 1, as they cannot be told less

	RolesScope string // roles stand in tokens, as groups, only if this scope was asked for, as Dex does; empty: always, as roles
	// a refresh token only for a login with prompt=consent (OpenID Connect Core section 11); a device asks the person anyway
	ConsentOnly bool

	LongCodes bool     // codes and refresh tokens of 2 kB, user codes of 16 letters
	Opaque    bool     // access tokens of a login are no JWTs, as Google's
	Without   []string // endpoints that it does not have: RevokePath, DeviceCodePath …
	Announced []string // of those, what discovery names all the same: they answer 404
}

// DefaultAudience is the aud of tokens when Options name none.
const DefaultAudience = "gprxy"

// DefaultClient is the client id when Options name no clients.
const DefaultClient = "gprxy-cli"

// DefaultClients is one public client with the path /callback on loopback, any port.
func DefaultClients() []Client {
	return []Client{{ID: DefaultClient, Name: "gprxy", RedirectURIs: []string{
		"http://localhost/callback", "http://127.0.0.1/callback", "http://[::1]/callback",
	}}}
}

// DefaultUsers are alice, a reader, and bob, a writer. They need no password.
func DefaultUsers() map[string]Person {
	return map[string]Person{
		"alice": {Name: "Alice Ahlgren", Roles: []string{"reader"}},
		"bob":   {Name: "Bob Brandt", Roles: []string{"writer"}},
	}
}

// filled is o with its defaults; what is a list or a map is the issuer's own.
func (o Options) filled() Options {
	o.Audiences = slices.Clone(o.Audiences)
	o.Algorithms = slices.Clone(o.Algorithms)
	o.Clients = slices.Clone(o.Clients)
	o.Users = maps.Clone(o.Users)
	if len(o.Algorithms) == 0 {
		o.Algorithms = []string{"ES256", "EdDSA"}
	}
	if o.Clients == nil {
		o.Clients = DefaultClients()
	}
	if o.Users == nil {
		o.Users = DefaultUsers()
	}
	for login, person := range o.Users {
		o.Users[login] = person.filled(login)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	fill(&o.Addr, "127.0.0.1:0")
	fill(&o.Audience, DefaultAudience)
	fill(&o.AccessLife, time.Hour)
	fill(&o.IDLife, time.Hour)
	fill(&o.RefreshLife, 30*24*time.Hour)
	fill(&o.DeviceLife, 10*time.Minute)
	fill(&o.DeviceInterval, 5*time.Second)
	return o
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o Options) check() error {
	var wrong []error
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return fmt.Errorf("listen as test issuer: %w", err)
	}
	if !isLoopback(host) {
		wrong = append(wrong, errors.New("a test issuer listens on loopback only"))
	}
	if min(o.AccessLife, o.IDLife, o.RefreshLife, o.DeviceLife, o.DeviceInterval) < 0 {
		wrong = append(wrong, errors.New("a life or an interval of the test issuer is negative"))
	}
	if _, nameless := o.Users[""]; nameless {
		wrong = append(wrong, errors.New("a person of the test issuer has no login name"))
	}
	seen := map[string]bool{}
	for _, client := range o.Clients {
		if client.ID == "" || seen[client.ID] {
			wrong = append(wrong, fmt.Errorf("the client id %q of the test issuer is empty or there twice", client.ID))
		}
		seen[client.ID] = true
		wrong = append(wrong, client.check())
	}
	return errors.Join(wrong...)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
