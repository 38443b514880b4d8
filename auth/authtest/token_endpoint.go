// The token endpoint: what a client was given becomes tokens.

package authtest

import (
	"net/http"
	"net/url"
)

// deviceGrant is grant_type of RFC 8628.
const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

func (i *Issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	answer, refused := i.tokenAnswer(w, r)
	if refused != nil {
		refused.write(w)
		return
	}
	w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1
	writeJSON(w, http.StatusOK, answer)
}

func (i *Issuer) tokenAnswer(w http.ResponseWriter, r *http.Request) (map[string]any, *refusal) {
	form, refused := readForm(w, r)
	if refused != nil {
		return nil, refused
	}
	client, refused := i.clientOf(r, form)
	if refused != nil {
		return nil, refused
	}
	redeem := map[string]func(Client, url.Values) (order, *refusal){
		"authorization_code": i.redeemCode,
		"refresh_token":      i.redeemRefresh,
		deviceGrant:          i.redeemDevice,
	}[form.Get("grant_type")]
	if redeem == nil {
		return nil, refuse("unsupported_grant_type", "grant_type must be authorization_code, refresh_token or "+deviceGrant)
	}
	i.countGrant(form.Get("grant_type"))
	o, refused := redeem(client, form)
	if refused != nil {
		return nil, refused
	}
	return i.answer(o)
}
