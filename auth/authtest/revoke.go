// The revocation endpoint (RFC 7009).

package authtest

import "net/http"

// serveRevoke ends the whole login of a token, whichever of its tokens it is. A
// token that is not known is no error: it is as dead as the client wants it.
func (i *Issuer) serveRevoke(w http.ResponseWriter, r *http.Request) {
	form, refused := readForm(w, r)
	if refused != nil {
		refused.write(w)
		return
	}
	client, refused := i.clientOf(r, form)
	if refused != nil {
		refused.write(w)
		return
	}
	token := form.Get("token")
	if token == "" {
		refuse("invalid_request", "token is missing").write(w)
		return
	}
	if g := i.grantOf(token); g != nil {
		if g.client.ID != client.ID {
			refuse("invalid_grant", "the token is another client's").write(w)
			return
		}
		i.end(g)
	}
	w.WriteHeader(http.StatusOK)
}
