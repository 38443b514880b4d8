// A client and a person, as every test of the flows needs them.

package authtest_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gprxy/auth/authtest"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"
	"golang.org/x/oauth2"
)

const (
	callback = "http://127.0.0.1:4711/callback"
	database = "https://db.example.com"
	allScope = "openid profile email offline_access"
)

// world is an issuer whose clock stands still until the test moves it.
type world struct {
	*authtest.Issuer
	t       *testing.T
	seconds atomic.Int64
}

// newWorld has alice, who needs no password, and carol, who does; the default
// client, one more public one, and one with a secret.
func newWorld(t *testing.T, o authtest.Options) *world {
	t.Helper()
	w := &world{t: t}
	w.seconds.Store(time.Now().Unix())
	o.Now = w.now
	o.Audiences = append(o.Audiences, database)
	o.Users = map[string]authtest.Person{
		"alice": {Name: "Alice", Roles: []string{"reader", "auditor"}},
		"carol": {Name: "Carol", Email: "c@example.org", Subject: "people|3", Password: "correct horse"},
	}
	o.Clients = append(authtest.DefaultClients(),
		authtest.Client{ID: "other", RedirectURIs: []string{callback}},
		authtest.Client{ID: "web app", Secret: "s&cret+%", RedirectURIs: []string{"https://app.example.com/back?here=1"}})
	w.Issuer = authtest.Start(t, o)
	return w
}

func (w *world) now() time.Time          { return time.Unix(w.seconds.Load(), 0) }
func (w *world) advance(d time.Duration) { w.seconds.Add(int64(d.Seconds())) }

func (w *world) at(path string) string { return strings.TrimSuffix(w.URL(), "/") + path }

const verifier = "a-verifier-of-forty-three-characters-or-more-~._"

// request is a right authorization request; changes are made on top, "" removes one.
func request(changes map[string]string) url.Values {
	return change(url.Values{
		"client_id": {authtest.DefaultClient}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {allScope},
		"state": {"a state & more"}, "nonce": {"the nonce"}, "audience": {database},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}, changes)
}

func change(values url.Values, changes map[string]string) url.Values {
	for name, value := range changes {
		values.Set(name, value)
	}
	maps.DeleteFunc(values, func(_ string, all []string) bool { return all[0] == "" })
	return values
}

func (w *world) loginPage(changes map[string]string) string {
	return w.at(authtest.AuthorizePath) + "?" + request(changes).Encode()
}

// login logs in and returns what the browser brings to the client.
func (w *world) login(login string, changes map[string]string) url.Values {
	w.t.Helper()
	redirect, err := w.Visit(w.loginPage(changes), login)
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := url.Parse(redirect)
	if err != nil {
		w.t.Fatal(err)
	}
	return u.Query()
}

// answer is what an endpoint that is not for people says.
type answer struct {
	Status       int
	Header       http.Header
	Access       string  `json:"access_token"`
	ID           string  `json:"id_token"`
	Refresh      string  `json:"refresh_token"`
	Type         string  `json:"token_type"`
	Scope        string  `json:"scope"`
	Lifetime     float64 `json:"expires_in"`
	Error        string  `json:"error"`
	Description  string  `json:"error_description"`
	DeviceCode   string  `json:"device_code"`
	UserCode     string  `json:"user_code"`
	Page         string  `json:"verification_uri"`
	CompletePage string  `json:"verification_uri_complete"`
	Interval     float64 `json:"interval"`
}

func (w *world) post(path string, form url.Values) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.at(path), strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.send(r)
}

func (w *world) send(r *http.Request) answer {
	w.t.Helper()
	response, err := noRedirects.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{Status: response.StatusCode, Header: response.Header}
	if len(body) > 0 && json.Unmarshal(body, &a) != nil {
		w.t.Fatalf("status %d, no JSON: %.200q", a.Status, body)
	}
	return a
}

var noRedirects = &http.Client{Timeout: 10 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (w *world) redeem(code string, changes map[string]string) answer {
	w.t.Helper()
	return w.post(authtest.TokenPath, change(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {authtest.DefaultClient}, "code": {code}, "redirect_uri": {callback},
		"code_verifier": {verifier},
	}, changes))
}

func (w *world) refresh(token string, changes map[string]string) answer {
	w.t.Helper()
	return w.post(authtest.TokenPath, change(url.Values{
		"grant_type": {"refresh_token"}, "client_id": {authtest.DefaultClient}, "refresh_token": {token},
	}, changes))
}

// tokens are those of a new login.
func (w *world) tokens(login string, changes map[string]string) answer {
	w.t.Helper()
	return w.must(w.redeem(w.login(login, changes).Get("code"), nil))
}

func (w *world) must(a answer) answer {
	w.t.Helper()
	if a.Status != http.StatusOK {
		w.t.Fatalf("status %d, error %s: %s", a.Status, a.Error, a.Description)
	}
	return a
}

func (w *world) refused(what string, a answer, status int, code string) {
	w.t.Helper()
	if a.Status != status || a.Error != code || a.Description == "" && code != "" || a.Access != "" || a.Refresh != "" || a.ID != "" {
		w.t.Errorf("%s: status %d, error %q (%s), want %d %q", what, a.Status, a.Error, a.Description, status, code)
	}
}

// claims reads a token whose signature, issuer and life are right.
func (w *world) claims(token, audience string) map[string]any {
	w.t.Helper()
	set, err := jwk.Fetch(w.t.Context(), w.at(authtest.KeysPath))
	if err != nil {
		w.t.Fatal(err)
	}
	parsed, err := jwt.ParseString(token, jwt.WithKeySet(set), jwt.WithIssuer(w.URL()), jwt.WithAudience(audience),
		jwt.WithClock(jwt.ClockFunc(w.now)))
	if err != nil {
		w.t.Fatalf("the token is not good: %v", err)
	}
	claims, err := parsed.AsMap(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return claims
}

// userinfo asks who an access token is of; "" is nobody.
func (w *world) userinfo(access string) (email string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.at(authtest.UserinfoPath), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+access)
	response, err := noRedirects.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var person struct{ Email string }
	if response.StatusCode == http.StatusOK {
		if err := json.NewDecoder(response.Body).Decode(&person); err != nil {
			w.t.Fatal(err)
		}
	}
	return person.Email
}
