// The discovery document and the key set.

package authtest

import (
	"encoding/json"
	"net/http"
	"strings"
)

func (i *Issuer) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	name := i.url
	if i.currentMode() == Renamed {
		name = "https://elsewhere.example.com"
	}
	writeJSON(w, map[string]any{
		"issuer":                                name,
		"jwks_uri":                              strings.TrimSuffix(i.url, "/") + KeysPath,
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": i.options.Algorithms,
	})
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	keys := []map[string]any{}
	for _, key := range i.keys {
		keys = append(keys, key.public)
	}
	keys = append(keys, i.extra...)
	i.mu.Unlock()
	writeJSON(w, map[string]any{"keys": keys})
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // an error here means that the client has gone
}
