// How often the issuer was asked for what.

package authtest

import "strings"

// maxCounted bounds how many paths a stranger can make Requests remember.
const maxCounted = 1000

// Requests counts what came for a path such as KeysPath, whatever the mode.
func (i *Issuer) Requests(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[path]
}

// Grants counts the token requests of a grant type (authorization_code,
// refresh_token, device_code), refused ones too, from clients that said
// rightly who they are. Each poll of a device is one.
func (i *Issuer) Grants(grantType string) int {
	if grantType == "device_code" {
		grantType = deviceGrant
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[grantType]
}

// countRequest counts a request and tells how it is to be answered.
func (i *Issuer) countRequest(path string) Mode {
	path = strings.TrimPrefix(path, strings.TrimSuffix(i.options.Path, "/"))
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, known := i.requests[path]; known || len(i.requests) < maxCounted {
		i.requests[path]++
	}
	return i.modeOf(path)
}

func (i *Issuer) countGrant(grantType string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked[grantType]++
}
