// The programs that people log in to, and how they say who they are.

package authtest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Client is a program that is registered with the issuer.
type Client struct {
	ID     string
	Name   string // as pages show it; empty: the ID
	Secret string // empty: a public client, which must use PKCE

	// RedirectURIs are compared to the letter. One of http on loopback without
	// a port stands for every port (RFC 8252 section 7.3).
	RedirectURIs []string
}

func (c Client) public() bool { return c.Secret == "" }

func (c Client) title() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}

func (c Client) check() error {
	for _, uri := range c.RedirectURIs {
		u, err := url.Parse(uri)
		ok := err == nil && u.User == nil && !strings.Contains(uri, "#")
		switch {
		case !ok:
		case u.Scheme == "https":
			ok = u.Host != ""
		case u.Scheme == "http":
			ok = isLoopback(u.Hostname())
		default:
			ok = strings.Contains(u.Scheme, ".") // a name of the client's own, RFC 8252 section 7.1: not javascript
		}
		if !ok {
			return fmt.Errorf("the redirect URI %q of client %q must be https, http on loopback, or of a scheme with a dot, without a fragment",
				uri, c.ID)
		}
	}
	return nil
}

func (c Client) mayReturnTo(uri string) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		return uri == registered || uri != "" && uri == withPortOf(uri, registered)
	})
}

// withPortOf is registered, which is on loopback and has no port, with the port of uri. Otherwise it is empty.
func withPortOf(uri, registered string) string {
	u, err := url.Parse(registered)
	if err != nil || u.Scheme != "http" || u.Port() != "" || !isLoopback(u.Hostname()) {
		return ""
	}
	origin := "http://" + u.Host
	rest, ok := strings.CutPrefix(uri, origin+":")
	if !ok {
		return ""
	}
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || port == 0 {
		return ""
	}
	return origin + ":" + digits + strings.TrimPrefix(registered, origin)
}

func (i *Issuer) client(id string) (Client, bool) {
	n := slices.IndexFunc(i.options.Clients, func(c Client) bool { return c.ID == id })
	if n < 0 {
		return Client{}, false
	}
	return i.options.Clients[n], true
}

var clientAuthMethods = []string{"none", "client_secret_basic", "client_secret_post"}

// clientOf tells which client has sent a form to an endpoint that is not for
// browsers. A public client that tries a secret is refused before anything it
// sent is used up: golang.org/x/oauth2 then tries again without.
func (i *Issuer) clientOf(r *http.Request, form url.Values) (Client, *refusal) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	tried := secret != ""
	if r.Header.Get("Authorization") != "" {
		user, password, refused := basicAuth(r)
		if refused != nil {
			return Client{}, refused
		}
		if tried || id != "" && id != user {
			return Client{}, refuse("invalid_request", "the client says in two ways who it is")
		}
		id, secret, tried = user, password, true
	}
	client, known := i.client(id)
	switch {
	case !known:
		return Client{}, refuse("invalid_client", "there is no such client")
	case client.public() && tried:
		return Client{}, refuse("invalid_client", "this client is public: it sends its client_id and no secret")
	case !client.public() && !sameSecret(client.Secret, secret):
		return Client{}, refuse("invalid_client", "the client's secret is missing or wrong")
	}
	return client, nil
}

// basicAuth reads the header of RFC 6749 section 2.3.1, whose parts are form-encoded first.
func basicAuth(r *http.Request) (user, password string, refused *refusal) {
	user, password, ok := r.BasicAuth()
	user, err := url.QueryUnescape(user)
	if err != nil {
		ok = false
	}
	if password, err = url.QueryUnescape(password); err != nil || !ok {
		return "", "", refuse("invalid_client", "the header Authorization is not that of a client")
	}
	return user, password, nil
}
