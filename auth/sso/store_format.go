// The file's format.

package sso

import (
	"encoding/json"
	"time"

	"gprxy/auth"
)

// formatVersion rises when an older gprxy could no longer read the file rightly. A
// new field that may be absent needs no new version.
const formatVersion = 1

type fileFormat struct {
	Version int           `json:"version"`
	Logins  []loginFormat `json:"logins"`
}

// loginFormat is Tokens with the secrets spelled out: the one place where they are written down.
type loginFormat struct {
	Issuer   string    `json:"issuer"`
	ClientID string    `json:"client_id"`
	Audience string    `json:"audience,omitempty"`
	Access   string    `json:"access_token"`
	ID       string    `json:"id_token,omitempty"`
	Refresh  string    `json:"refresh_token,omitempty"`
	Expires  time.Time `json:"expires"`
	User     string    `json:"user"`
	Subject  string    `json:"subject"`
	Roles    []string  `json:"roles,omitempty"`
}

func encodeLogins(list []Tokens) ([]byte, error) {
	file := fileFormat{Version: formatVersion, Logins: []loginFormat{}}
	for _, t := range list {
		file.Logins = append(file.Logins, loginFormat{
			Issuer: t.Issuer, ClientID: t.ClientID, Audience: t.Audience,
			Access: t.Access.Reveal(), ID: t.ID.Reveal(), Refresh: t.Refresh.Reveal(),
			Expires: t.Expires.UTC(), User: t.User, Subject: t.Subject, Roles: t.Roles,
		})
	}
	data, err := json.MarshalIndent(file, "", "  ")
	return append(data, '\n'), err
}

// decodeLogins reads a file. Its errors do not quote the file, which is made of secrets.
func decodeLogins(path string, data []byte) ([]Tokens, error) {
	damaged := &FileError{Path: path, What: "is damaged: it is not what gprxy writes", Fix: "delete it and run gprxy login"}
	var file fileFormat
	err := json.Unmarshal(data, &file)
	if file.Version > formatVersion {
		return nil, &FileError{Path: path, What: "was written by a newer gprxy", Fix: "use that one, or delete the file and run gprxy login"}
	}
	if err != nil || file.Version < 1 {
		return nil, damaged
	}
	var list []Tokens
	for _, l := range file.Logins {
		t := Tokens{
			Issuer: l.Issuer, ClientID: l.ClientID, Audience: l.Audience,
			Access: auth.Secret(l.Access), ID: auth.Secret(l.ID), Refresh: auth.Secret(l.Refresh),
			Expires: l.Expires, User: l.User, Subject: l.Subject, Roles: l.Roles,
		}
		if t.Issuer == "" || t.ClientID == "" || t.Access == "" || !isToken(t.Access) || !isToken(t.ID) || !isToken(t.Refresh) {
			return nil, damaged
		}
		list = append(list, t)
	}
	return list, nil
}
