// The page in the browser after a login: what happened, in a file that needs no network.

package sso

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pagePolicy allows the page its own style and nothing else.
var pagePolicy = func() string {
	_, rest, _ := strings.Cut(pageHTML, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// page is what page.html shows.
type page struct {
	Status  int
	Good    bool
	Title   string // what happened
	Text    string // more of it
	Details string // the error, for whoever helps; may be empty
	Next    string // what to do now
}

const closeWindow = "You may close this window."

var (
	pageMisdirected = page{Status: http.StatusForbidden, Title: "This is not the way in",
		Text: "The request came under another name than the login's.", Next: closeWindow}
	pageStray = page{Status: http.StatusBadRequest, Title: "This is not the login that is waiting",
		Text: "The answer belongs to another login, or to none. It was not used.",
		Next: "Open the address that gprxy login shows in the terminal, then close this window."}
	pageUsed = page{Status: http.StatusConflict, Title: "This login was answered already",
		Text: "Its answer works only once. The terminal says how it ended.", Next: closeWindow}
)

// outcomePage tells how a login ended.
func outcomePage(t Tokens, err error) page {
	switch {
	case err == nil:
		return page{Status: http.StatusOK, Good: true, Title: "You are logged in",
			Text: "gprxy knows you as " + t.User + ".", Next: "You may close this window and go back to the terminal."}
	case errors.Is(err, context.Canceled):
		return page{Status: http.StatusBadRequest, Title: "The login was stopped",
			Text: "It was cancelled in the terminal. Nothing was saved.", Next: closeWindow}
	}
	p := page{Status: http.StatusBadRequest, Title: "You are not logged in", Details: err.Error(),
		Text: "The login failed, and nothing was saved.", Next: "The terminal says so too. " + closeWindow}
	if denied, ok := errors.AsType[*DeniedError](err); ok && denied.Code == "access_denied" {
		p.Title, p.Text, p.Status = "The login was refused", "You or the identity provider said no. Nothing was saved.", http.StatusForbidden
	}
	return p
}

func (p page) write(w http.ResponseWriter) {
	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, p); err != nil {
		http.Error(w, p.Title, http.StatusInternalServerError)
		return
	}
	for name, value := range map[string]string{
		"Content-Type":            "text/html; charset=utf-8",
		"Content-Security-Policy": pagePolicy,
		"Cache-Control":           "no-store",
		"Referrer-Policy":         "no-referrer", // the page's address holds the code
		"X-Content-Type-Options":  "nosniff",
	} {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Length", itoa(body.Len()))
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(callbackTimeout)) // any http.Server's writer has one
	w.WriteHeader(p.Status)
	_, _ = w.Write(body.Bytes()) // an error here means that the browser has gone
	_ = control.Flush()          // the server may be closed right after this
}

// way sends the browser on to the issuer once more.
type way struct{ address string }

func (v way) write(w http.ResponseWriter) {
	w.Header().Set("Location", v.address)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer") // this page's address holds a code
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(callbackTimeout)) // any http.Server's writer has one
	w.WriteHeader(http.StatusSeeOther)
	_ = control.Flush()
}
