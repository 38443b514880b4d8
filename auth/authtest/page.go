// What the pages show. They need no network, no script and nothing from elsewhere.

package authtest

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var pages = template.Must(template.New("").Parse(pageHTML))

// pagePolicy lets in our own style, by its hash, and forms to ourselves; Chromium
// holds form-action against the redirect that follows a form too.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'"
}()

// page is all that a template may show.
type page struct {
	Title string
	Style template.CSS
	Error string
	Text  string

	Client    string
	Scopes    []scopeShown
	Audiences []string
	Code      string

	Faces     []face
	Passwords bool
	Login     string
	Verb      string // on the buttons: Continue as …
	Submit    string
	Refuse    string

	RefuseValue string
}

type scopeShown struct{ Name, Meaning string }

func showScopes(scopes []string) []scopeShown {
	meaning := map[string]string{
		"openid":         "Who you are",
		"profile":        "Your name",
		"email":          "Your email address",
		"offline_access": "Staying logged in",
	}
	var shown []scopeShown
	for _, scope := range scopes {
		text, ok := meaning[scope]
		if !ok {
			text = "Permission"
		}
		shown = append(shown, scopeShown{scope, text})
	}
	return shown
}

func (i *Issuer) askPerson(w asked) page {
	return page{
		Client: w.client.title(), Scopes: showScopes(w.scopes), Audiences: w.audiences,
		Faces: i.faces(), Passwords: i.hasPasswords(),
	}
}

func (i *Issuer) showLogin(w http.ResponseWriter, status int, a authorization, wrong string) {
	p := i.askPerson(a.asked)
	p.Title, p.Error, p.Login = "Log in", wrong, a.hint
	p.Verb, p.Submit, p.Refuse, p.RefuseValue = "Continue", "Log in", "Cancel", "cancel"
	show(w, status, "login", p, " "+formTarget(a.redirectURI))
}

func (i *Issuer) showDevice(w http.ResponseWriter, status int, d *device, wrong string) {
	p := i.askPerson(d.asked)
	p.Title, p.Error, p.Code = "Log in a device", wrong, d.userCode
	p.Verb, p.Submit, p.Refuse, p.RefuseValue = "Approve", "Log in and approve", "Deny", "deny"
	show(w, status, "device", p, "")
}

func showCodeForm(w http.ResponseWriter, status int, wrong string) {
	show(w, status, "code", page{Title: "Log in a device", Error: wrong}, "")
}

func showMessage(w http.ResponseWriter, status int, title, text string) {
	show(w, status, "message", page{Title: title, Text: text}, "")
}

func show(w http.ResponseWriter, status int, name string, p page, target string) {
	p.Style = template.CSS(pageCSS)
	var text bytes.Buffer
	if err := pages.ExecuteTemplate(&text, name, p); err != nil {
		http.Error(w, "the page cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy+target)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // an error here means that the browser has gone
}

// formTarget is a redirect URI as a policy can name it: by origin, or by scheme
// alone for the client's own scheme and for [::1], which policies cannot spell.
func formTarget(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil:
		return ""
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.HasPrefix(u.Host, "["):
		return u.Scheme + ":"
	default:
		return u.Scheme + "://" + u.Host
	}
}
