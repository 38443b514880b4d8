// An issuer that answers as a test says, signed with real keys.

package sso_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"gprxy/auth/authtest"
	"gprxy/auth/sso"
)

// stub is for answers that no honest issuer gives. Its functions are set before it is used.
type stub struct {
	t        *testing.T
	signer   *authtest.Issuer
	url      string
	metadata map[string]any
	answers  map[string]func(form url.Values) (status int, answer any) // by path
	forms    map[string][]url.Values
}

func newStub(t *testing.T) *stub {
	t.Helper()
	s := &stub{t: t, signer: authtest.Start(t, authtest.Options{}), answers: map[string]func(url.Values) (int, any){},
		forms: map[string][]url.Values{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	s.metadata = map[string]any{
		"issuer": s.url, "jwks_uri": s.url + "/keys", "authorization_endpoint": s.url + "/authorize", "token_endpoint": s.url + "/token",
		"device_authorization_endpoint": s.url + "/device", "revocation_endpoint": s.url + "/revoke",
	}
	return s
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, answer := http.StatusOK, any(nil)
	switch answers := s.answers[r.URL.Path]; {
	case answers != nil:
		if err := r.ParseForm(); err != nil {
			s.t.Error(err)
		}
		s.forms[r.URL.Path] = append(s.forms[r.URL.Path], r.PostForm)
		status, answer = answers(r.PostForm)
	case r.URL.Path == authtest.DiscoveryPath:
		answer = s.metadata
	case r.URL.Path == "/keys":
		answer = map[string]any{"keys": s.signer.PublicKeys()}
	default:
		status = http.StatusNotFound
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *stub) config() sso.Config {
	return sso.Config{Issuer: s.url, ClientID: "cli", Audience: "gprxy"}
}

// sign mints a token of the stub's.
func (s *stub) sign(header map[string]any, claims authtest.Claims) string {
	s.t.Helper()
	all := authtest.Claims{"iss": s.url}
	for name, value := range claims {
		all[name] = value
	}
	token, err := s.signer.Sign("", header, all)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// idToken mints one that is good for the client, but for claims.
func (s *stub) idToken(claims authtest.Claims) string {
	all := authtest.Claims{"aud": "cli", "email": "ann@example.com"}
	for name, value := range claims {
		all[name] = value
	}
	return s.sign(map[string]any{"typ": "JWT"}, all)
}

// comeBack is for LoginBrowser: the browser comes back with a code at once.
func comeBack(seen chan<- visit, nonce *string) func(string) error {
	return func(address string) error {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		*nonce = u.Query().Get("nonce")
		back := u.Query().Get("redirect_uri") + "?" + url.Values{"state": {u.Query().Get("state")}, "code": {"the-code"}}.Encode()
		go func() { seen <- open(back) }()
		return nil
	}
}

// logIn is a login at the stub whose token endpoint gives this answer.
func (s *stub) logIn(c sso.Config, answer func(form url.Values, nonce string) (int, any)) (sso.Tokens, error) {
	s.t.Helper()
	seen, nonce := make(chan visit, 1), ""
	s.answers["/token"] = func(form url.Values) (int, any) { return answer(form, nonce) }
	tokens, err := sso.LoginBrowser(short(s.t), c, comeBack(seen, &nonce))
	if len(s.forms["/token"]) > 0 {
		<-seen
	}
	return tokens, err
}
