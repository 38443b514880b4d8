// A person's browser, for tests and the demo.

package authtest

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Visit opens the address of a login page, as a client would in a browser, logs in
// as this person (no login: presses Cancel), and returns where the browser
// is then sent, with code or error. It does not go there: that is one GET.
// An error tells what the page said, if it sends nobody anywhere.
func (i *Issuer) Visit(authorizeURL, login string) (redirect string, err error) {
	if !strings.HasPrefix(authorizeURL, i.base+AuthorizePath+"?") {
		return "", fmt.Errorf("visit the login page: the address is not below %s", i.base+AuthorizePath)
	}
	form := url.Values{"action": {"cancel"}}
	if login != "" {
		person, known := i.options.Users[login]
		if !known {
			return "", fmt.Errorf("nobody logs in to the test issuer as %q", login)
		}
		form = url.Values{"login": {login}, "password": {person.Password}}
		if person.Password == "" {
			form = url.Values{"as": {login}}
		}
	}
	transport := &http.Transport{DisableKeepAlives: true} // nothing stays behind
	browser := &http.Client{Transport: transport, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	redirect, err = look(browser.Get(authorizeURL))
	if err == nil && redirect == "" {
		redirect, err = look(browser.PostForm(authorizeURL, form))
		if err == nil && redirect == "" {
			err = errors.New("the form was answered with a page")
		}
	}
	if err != nil {
		return "", fmt.Errorf("visit the login page: %w", err)
	}
	return redirect, nil
}

// look returns where an answer sends the browser; nowhere if it is a page.
func look(response *http.Response, err error) (redirect string, _ error) {
	if err != nil {
		return "", errors.Unwrap(err) // without the address: it has the state and the challenge
	}
	defer func() { _ = response.Body.Close() }()
	if redirect = response.Header.Get("Location"); redirect != "" {
		return redirect, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers with status %d: %s", response.StatusCode, said(string(body)))
	}
	return "", nil
}

// said is what a page tells in its alert, or else in its title.
func said(body string) string {
	for _, start := range []string{`role="alert" id="error">`, "<title>"} {
		if _, rest, ok := strings.Cut(body, start); ok {
			text, _, _ := strings.Cut(rest, "<")
			return html.UnescapeString(text)
		}
	}
	return "no text"
}
