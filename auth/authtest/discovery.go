// The discovery document and the key set.

package authtest

import (
	"encoding/json"
	"net/http"
	"slices"
)

var claimNames = []string{"iss", "aud", "sub", "exp", "iat", "auth_time", "nonce", "at_hash", "email", "email_verified", "name",
	"preferred_username", "roles"}

func (i *Issuer) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	name := i.url
	if i.currentMode(DiscoveryPath) == Renamed {
		name = "https://elsewhere.example.com"
	}
	document := map[string]any{
		"issuer":                                         name,
		"scopes_supported":                               i.scopes(),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token", deviceGrant},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          clientAuthMethods,
		"revocation_endpoint_auth_methods_supported":     clientAuthMethods,
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          i.options.Algorithms,
		"claims_supported":                               claimNames,
		"authorization_response_iss_parameter_supported": true,
	}
	for field, path := range map[string]string{
		"jwks_uri":                      KeysPath,
		"authorization_endpoint":        AuthorizePath,
		"token_endpoint":                TokenPath,
		"device_authorization_endpoint": DeviceCodePath,
		"revocation_endpoint":           RevokePath,
		"userinfo_endpoint":             UserinfoPath,
	} {
		if !slices.Contains(i.options.Without, path) || slices.Contains(i.options.Announced, path) {
			document[field] = i.base + path
		}
	}
	writeJSON(w, http.StatusOK, document)
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	keys := []map[string]any{}
	for _, key := range i.keys {
		keys = append(keys, key.public)
	}
	keys = append(keys, i.extra...)
	i.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"keys": keys})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // an error here means that the client has gone
}
