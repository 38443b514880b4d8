// Error answers, as RFC 6749 section 5.2 has them.

package authtest

import "net/http"

// refusal is an error answer. Its text is for developers and never repeats what they sent.
type refusal struct {
	code   string // from the standard, such as invalid_grant
	text   string
	status int
}

func refuse(code, text string) *refusal {
	status := http.StatusBadRequest
	switch code {
	case "invalid_client":
		status = http.StatusUnauthorized
	case "temporarily_unavailable":
		status = http.StatusServiceUnavailable
	}
	return &refusal{code, text, status}
}

// full is the refusal when more things wait than the issuer has room for.
func full() *refusal { return refuse("temporarily_unavailable", "too many logins are going on") }

func (r *refusal) write(w http.ResponseWriter) {
	if r.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="test issuer"`)
	}
	writeJSON(w, r.status, map[string]any{"error": r.code, "error_description": r.text})
}
