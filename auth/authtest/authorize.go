// The authorization endpoint: a login page, and the way back to the client with a code.

package authtest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// codeLife is how long a client has to turn its code into tokens.
const codeLife = time.Minute

// authorization is a client's request that a person logs in.
type authorization struct {
	asked
	redirectURI string // proved to be the client's
	state       string
	hint        string // login name to begin with
}

// code is what the client gets for a login, to be turned into tokens once.
type code struct {
	authorization
	login    string
	authTime time.Time
	expires  time.Time
	used     bool
	grant    *grant // what it gave; nil: nothing
}

func (i *Issuer) serveLoginPage(w http.ResponseWriter, r *http.Request) {
	if a, ok := i.readAuthorization(w, r); ok {
		i.showLogin(w, http.StatusOK, a, "")
	}
}

func (i *Issuer) serveLogin(w http.ResponseWriter, r *http.Request) {
	a, ok := i.readAuthorization(w, r)
	if !ok {
		return
	}
	form, refused := readForm(w, r)
	if refused != nil {
		showMessage(w, refused.status, "This form cannot be read", refused.text)
		return
	}
	if form.Get("action") == "cancel" {
		i.refuseBack(w, a, refuse("access_denied", "the person cancelled the login"))
		return
	}
	login, ok := i.loginOf(form)
	if !ok {
		a.hint = login
		i.showLogin(w, http.StatusForbidden, a, "Name or password is wrong.")
		return
	}
	text, ok := i.newAuthorizationCode(a, login)
	if !ok {
		i.refuseBack(w, a, full())
		return
	}
	i.sendBack(w, a, url.Values{"code": {text}})
}

// readAuthorization reads the request from the address, of the page and of its
// form alike. Unless client and redirect URI are proved right, an error is for
// the person to read: sending them on would make the issuer an open redirector.
func (i *Issuer) readAuthorization(w http.ResponseWriter, r *http.Request) (a authorization, ok bool) {
	values, wrong := readParameters(r.URL.RawQuery)
	if values == nil {
		values = r.URL.Query()
	}
	client, known := i.client(values.Get("client_id"))
	if !known || len(values["client_id"]) > 1 {
		showMessage(w, http.StatusBadRequest, "This program is not known here",
			"The client_id of the address is missing or not registered with this issuer.")
		return a, false
	}
	a = authorization{redirectURI: values.Get("redirect_uri"), state: values.Get("state"), hint: values.Get("login_hint")}
	if !client.mayReturnTo(a.redirectURI) || len(values["redirect_uri"]) > 1 {
		showMessage(w, http.StatusBadRequest, "The way back is not known here",
			"The redirect_uri of the address is missing or not one that "+client.title()+" has registered.")
		return a, false
	}
	if wrong == nil {
		wrong = checkAuthorization(client, values)
	}
	if wrong == nil {
		a.asked, wrong = i.readAsked(client, values)
		a.consented = slices.Contains(strings.Fields(values.Get("prompt")), "consent")
	}
	if wrong != nil {
		i.refuseBack(w, a, wrong)
		return a, false
	}
	return a, true
}

func checkAuthorization(client Client, values url.Values) *refusal {
	prompts := strings.Fields(values.Get("prompt"))
	switch {
	case values.Get("request") != "":
		return refuse("request_not_supported", "request objects are not supported")
	case values.Get("request_uri") != "":
		return refuse("request_uri_not_supported", "request objects are not supported")
	case values.Get("response_type") == "":
		return refuse("invalid_request", "response_type is missing")
	case values.Get("response_type") != "code":
		return refuse("unsupported_response_type", "response_type must be code")
	case values.Get("response_mode") != "" && values.Get("response_mode") != "query":
		return refuse("invalid_request", "response_mode must be query")
	case client.public() && values.Get("code_challenge") == "":
		return refuse("invalid_request", "a public client must send a code_challenge (PKCE)")
	case slices.Contains(prompts, "none"):
		return refuse("login_required", "this issuer remembers nobody: each login needs the person")
	}
	return nil
}

func (i *Issuer) newAuthorizationCode(a authorization, login string) (string, bool) {
	now := i.options.Now()
	text := i.newSecret()
	c := &code{authorization: a, login: login, authTime: now, expires: now.Add(codeLife)}
	i.mu.Lock()
	defer i.mu.Unlock()
	return text, i.codes.put(text, c, now, now.Add(10*codeLife)) // longer than it is good for, so that a second use is noticed
}

func (i *Issuer) refuseBack(w http.ResponseWriter, a authorization, r *refusal) {
	i.sendBack(w, a, url.Values{"error": {r.code}, "error_description": {r.text}})
}

// sendBack sends the browser to the client, with its state and with iss of RFC 9207.
func (i *Issuer) sendBack(w http.ResponseWriter, a authorization, answer url.Values) {
	answer.Set("iss", i.url)
	if a.state != "" {
		answer.Set("state", a.state)
	}
	separator := "?"
	if strings.Contains(a.redirectURI, "?") {
		separator = "&"
	}
	w.Header().Set("Location", a.redirectURI+separator+answer.Encode())
	w.WriteHeader(http.StatusSeeOther) // the browser comes with GET, and without the password
}
