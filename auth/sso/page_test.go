// The page in the browser: self-contained, closed to everything else, and no place to inject.

package sso

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	for name, p := range map[string]page{
		"stray": pageStray, "used": pageUsed, "misdirected": pageMisdirected,
		"good":    outcomePage(Tokens{User: evil}, nil),
		"refused": outcomePage(Tokens{}, &DeniedError{Code: "access_denied", Reason: evil}),
		"failed":  outcomePage(Tokens{}, errors.New(evil)),
	} {
		w := httptest.NewRecorder()
		p.write(w)
		body := w.Body.String()
		for _, outside := range []string{"src=", "href=", "url(", "@import", "<script", "<link", "https://"} {
			if strings.Contains(body, outside) {
				t.Errorf("%s: the page has %s", name, outside)
			}
		}
		for _, part := range []string{p.Title, "close this window", `lang="en"`, "prefers-color-scheme: dark"} {
			if !strings.Contains(body, part) {
				t.Errorf("%s: the page lacks %q", name, part)
			}
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "'sha256-") || strings.Contains(policy, "unsafe") ||
			w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" || w.Code != p.Status {
			t.Errorf("%s: status %d, headers %v", name, w.Code, w.Header())
		}
		if good := strings.Contains(body, `class="good"`); good != (name == "good") {
			t.Errorf("%s: the page looks good: %v", name, good)
		}
	}
}
