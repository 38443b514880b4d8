// How clients say who they are, and that a real client library gets along.

package authtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gprxy/auth/authtest"

	"golang.org/x/oauth2"
)

func TestClientAuthentication(t *testing.T) {
	w := newWorld(t, authtest.Options{})
	const secret = "s&cret+%"
	for name, test := range map[string]struct {
		form           url.Values
		user, password string // of Basic, form-encoded
		want           string // error; empty: let in
	}{
		"public":                       {form: url.Values{"client_id": {"other"}}},
		"public with a secret":         {form: url.Values{"client_id": {"other"}, "client_secret": {"x"}}, want: "invalid_client"},
		"public by Basic":              {user: "other", want: "invalid_client"},
		"secret in the form":           {form: url.Values{"client_id": {"web app"}, "client_secret": {secret}}},
		"secret by Basic":              {user: "web+app", password: url.QueryEscape(secret)},
		"secret by Basic, not encoded": {user: "web app", password: secret, want: "invalid_client"},
		"wrong secret in the form":     {form: url.Values{"client_id": {"web app"}, "client_secret": {"x"}}, want: "invalid_client"},
		"wrong secret by Basic":        {user: "web+app", password: "x", want: "invalid_client"},
		"no secret":                    {form: url.Values{"client_id": {"web app"}}, want: "invalid_client"},
		"secret twice": {form: url.Values{"client_secret": {secret}}, user: "web+app", password: url.QueryEscape(secret),
			want: "invalid_request"},
		"two clients": {form: url.Values{"client_id": {"other"}}, user: "web+app", password: url.QueryEscape(secret),
			want: "invalid_request"},
		"unknown client":                {form: url.Values{"client_id": {"evil"}}, want: "invalid_client"},
		"nobody":                        {want: "invalid_client"},
		"client_id twice":               {form: url.Values{"client_id": {"other", "other"}}, want: "invalid_request"},
		"Basic with a broken encoding":  {user: "web%zzapp", password: "x", want: "invalid_client"},
		"unknown client with a secret":  {form: url.Values{"client_id": {"evil"}, "client_secret": {secret}}, want: "invalid_client"},
		"nobody's name, empty password": {form: url.Values{"client_id": {""}}, want: "invalid_client"},
	} {
		for _, path := range []string{authtest.DeviceCodePath, authtest.TokenPath, authtest.RevokePath} {
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "token": {"x"}}
			for key, values := range test.form {
				form[key] = values
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.at(path), strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if test.user != "" {
				r.SetBasicAuth(test.user, test.password)
			}
			a := w.send(r)
			want := test.want
			if want == "" && path == authtest.TokenPath {
				want = "invalid_grant" // let in, and told that the refresh token is none
			}
			if a.Error != want || (a.Status == http.StatusUnauthorized) != (want == "invalid_client") {
				t.Errorf("%s at %s: status %d, error %q, want %q", name, path, a.Status, a.Error, want)
			}
			if a.Status == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: 401 without WWW-Authenticate", name)
			}
		}
	}
}

// library is golang.org/x/oauth2 as one who knows nothing of this issuer sets it up: it tries Basic first.
func (w *world) library() *oauth2.Config {
	return &oauth2.Config{ClientID: authtest.DefaultClient, RedirectURL: callback, Scopes: strings.Fields(allScope), Endpoint: oauth2.Endpoint{
		AuthURL: w.at(authtest.AuthorizePath), TokenURL: w.at(authtest.TokenPath), DeviceAuthURL: w.at(authtest.DeviceCodePath),
	}}
}

func TestLibraryLogsInByCode(t *testing.T) {
	w := newWorld(t, authtest.Options{LongCodes: true})
	c, v := w.library(), oauth2.GenerateVerifier()
	redirect, err := w.Visit(c.AuthCodeURL("the state", oauth2.S256ChallengeOption(v)), "alice")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(redirect)
	if err != nil {
		t.Fatal(err)
	}
	code := u.Query().Get("code")
	if len(code) < 2000 {
		t.Errorf("a long code has %d bytes", len(code))
	}
	token, err := c.Exchange(t.Context(), code, oauth2.VerifierOption(v))
	if err != nil {
		t.Fatal(err)
	}
	token.Expiry = time.Now().Add(-time.Hour)
	next, err := c.TokenSource(t.Context(), token).Token()
	if err != nil || next.RefreshToken == token.RefreshToken || len(next.RefreshToken) < 2000 {
		t.Errorf("refreshed: error %v", err)
	}
}

func TestLibraryLogsInByDevice(t *testing.T) {
	w := newWorld(t, authtest.Options{DeviceInterval: 10 * time.Millisecond})
	c := w.library()
	d, err := c.DeviceAuth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d.Interval != 1 {
		t.Errorf("interval %d s, want the least there is", d.Interval)
	}
	if err := w.Approve(d.UserCode, "alice"); err != nil {
		t.Fatal(err)
	}
	token, err := c.DeviceAccessToken(t.Context(), d)
	if err != nil || w.userinfo(token.AccessToken) != "alice@example.com" {
		t.Errorf("error %v", err)
	}
}

func TestClientsThatCannotBe(t *testing.T) {
	for name, clients := range map[string][]authtest.Client{
		"no id":                 {{}},
		"one id twice":          {{ID: "a"}, {ID: "a"}},
		"http elsewhere":        {{ID: "a", RedirectURIs: []string{"http://app.example.com/"}}},
		"script":                {{ID: "a", RedirectURIs: []string{"javascript:alert(1)"}}},
		"with a fragment":       {{ID: "a", RedirectURIs: []string{"https://app.example.com/#x"}}},
		"with a password":       {{ID: "a", RedirectURIs: []string{"https://a:b@app.example.com/"}}},
		"without a scheme":      {{ID: "a", RedirectURIs: []string{"/callback"}}},
		"https without host":    {{ID: "a", RedirectURIs: []string{"https:/callback"}}},
		"not an address at all": {{ID: "a", RedirectURIs: []string{"http://[::1"}}},
	} {
		if iss, err := authtest.New(authtest.Options{Clients: clients}); err == nil {
			_ = iss.Close()
			t.Errorf("%s: is accepted", name)
		}
	}
	for _, uri := range []string{"com.example.app:/callback", "https://app.example.com/", "http://localhost:1/x"} {
		authtest.Start(t, authtest.Options{Clients: []authtest.Client{{ID: "a", RedirectURIs: []string{uri}}}})
	}
	for name, o := range map[string]authtest.Options{
		"a person without a name": {Users: map[string]authtest.Person{"": {}}},
		"a negative life":         {AccessLife: -time.Second},
	} {
		if iss, err := authtest.New(o); err == nil {
			_ = iss.Close()
			t.Errorf("%s: is accepted", name)
		}
	}
}
