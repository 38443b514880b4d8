// Stored facts as the fold needs them. By hand, since verify and rebuild read every one of them, and
// encoding/json takes several times as long.

package store

import (
	"encoding/json"
	"fmt"
)

// members says where each member of a type's body goes. Of the others the fold knows nothing.
type members[F Fact] map[string]func(*F) any

var (
	connectedMembers = members[SessionConnected]{
		"client":           func(f *SessionConnected) any { return &f.Client },
		"requested_user":   func(f *SessionConnected) any { return &f.RequestedUser },
		"database":         func(f *SessionConnected) any { return &f.Database },
		"application_name": func(f *SessionConnected) any { return &f.ApplicationName },
		"tls":              func(f *SessionConnected) any { return &f.TLS },
	}
	succeededMembers = members[AuthSucceeded]{
		"method": func(f *AuthSucceeded) any { return &f.Method },
		"user":   func(f *AuthSucceeded) any { return &f.User },
		"roles":  func(f *AuthSucceeded) any { return &f.Roles },
	}
	failedMembers = members[AuthFailed]{
		"method": func(f *AuthFailed) any { return &f.Method },
		"user":   func(f *AuthFailed) any { return &f.User },
	}
	mappedMembers = members[RoleMapped]{
		"role":            func(f *RoleMapped) any { return &f.Role },
		"service_account": func(f *RoleMapped) any { return &f.ServiceAccount },
	}
	startedMembers = members[SessionStarted]{
		"service_account": func(f *SessionStarted) any { return &f.ServiceAccount },
		"backend_pid":     func(f *SessionStarted) any { return &f.BackendPID },
	}
	refusedMembers = members[SessionRefused]{
		"reason": func(f *SessionRefused) any { return &f.Reason },
	}
	endedMembers = members[SessionEnded]{
		"reason":     func(f *SessionEnded) any { return &f.Reason },
		"statements": func(f *SessionEnded) any { return &f.Statements },
		"errors":     func(f *SessionEnded) any { return &f.Errors },
		"rows":       func(f *SessionEnded) any { return &f.Rows },
		"bytes_in":   func(f *SessionEnded) any { return &f.BytesIn },
		"bytes_out":  func(f *SessionEnded) any { return &f.BytesOut },
		"doubt":      func(f *SessionEnded) any { return &f.Doubt },
	}
)

// decoders has the types that the fold looks at.
var decoders = map[string]func(body []byte) (Fact, error){
	SessionConnected{}.Type(): connectedMembers.decode,
	AuthSucceeded{}.Type():    succeededMembers.decode,
	AuthFailed{}.Type():       failedMembers.decode,
	RoleMapped{}.Type():       mappedMembers.decode,
	SessionStarted{}.Type():   startedMembers.decode,
	SessionRefused{}.Type():   refusedMembers.decode,
	SessionEnded{}.Type():     endedMembers.decode,
}

// decode gives, of a stored body, what the fold looks at; of the types that it does not look at, nil.
func decode(typ string, body []byte) (Fact, error) {
	into := decoders[typ]
	if into == nil {
		return nil, nil
	}
	f, err := into(body)
	if err != nil {
		return nil, fmt.Errorf("read the body of %s: %w", typ, err)
	}
	return f, nil
}

func (m members[F]) decode(body []byte) (Fact, error) {
	var f F
	err := decodeMembers(body, func(key []byte) any {
		if place := m[string(key)]; place != nil {
			return place(&f)
		}
		return nil
	})
	return f, err
}

// decodeMembers reads the members of an object for which to gives a place.
func decodeMembers(object []byte, to func(key []byte) any) error {
	return eachMember(object, func(key, value []byte) error {
		switch to := to(key).(type) {
		case *string:
			return decodeString(value, to)
		case *int64:
			return decodeInt(value, to)
		case *uint32:
			var n int64
			err := decodeInt(value, &n)
			*to = uint32(n)
			return err
		case *[]string:
			return decodeStrings(value, to)
		case *[]Param:
			return json.Unmarshal(value, to)
		}
		return nil
	})
}
