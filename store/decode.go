// Stored facts as the fold needs them. By hand, since verify and rebuild read every one of them, and
// encoding/json takes several times as long.

package store

import (
	"encoding/json"
	"fmt"
)

// decode gives, of a stored body, what the fold looks at; of the types that it does not look at, nil.
func decode(typ string, body []byte) (f Fact, err error) {
	switch typ {
	case SessionConnected{}.Type():
		f, err = decodeConnected(body)
	case AuthSucceeded{}.Type():
		f, err = decodeSucceeded(body)
	case AuthFailed{}.Type():
		f, err = decodeFailed(body)
	case RoleMapped{}.Type():
		f, err = decodeMapped(body)
	case SessionStarted{}.Type():
		f, err = decodeStarted(body)
	case SessionRefused{}.Type():
		f, err = decodeRefused(body)
	case SessionEnded{}.Type():
		f, err = decodeEnded(body)
	}
	if err != nil {
		return nil, fmt.Errorf("read the body of %s: %w", typ, err)
	}
	return f, nil
}

func decodeConnected(body []byte) (f SessionConnected, err error) {
	err = decodeMembers(body, func(key []byte) any {
		switch string(key) {
		case "client":
			return &f.Client
		case "requested_user":
			return &f.RequestedUser
		case "database":
			return &f.Database
		case "application_name":
			return &f.ApplicationName
		case "tls":
			return &f.TLS
		}
		return nil
	})
	return f, err
}

func decodeSucceeded(body []byte) (f AuthSucceeded, err error) {
	err = decodeMembers(body, func(key []byte) any {
		switch string(key) {
		case "method":
			return &f.Method
		case "user":
			return &f.User
		case "roles":
			return &f.Roles
		}
		return nil
	})
	return f, err
}

func decodeFailed(body []byte) (f AuthFailed, err error) {
	err = decodeMembers(body, func(key []byte) any {
		switch string(key) {
		case "method":
			return &f.Method
		case "user":
			return &f.User
		}
		return nil
	})
	return f, err
}

func decodeMapped(body []byte) (f RoleMapped, err error) {
	err = decodeMembers(body, func(key []byte) any {
		switch string(key) {
		case "role":
			return &f.Role
		case "service_account":
			return &f.ServiceAccount
		}
		return nil
	})
	return f, err
}

func decodeStarted(body []byte) (f SessionStarted, err error) {
	err = decodeMembers(body, func(key []byte) any {
		switch string(key) {
		case "service_account":
			return &f.ServiceAccount
		case "backend_pid":
			return &f.BackendPID
		}
		return nil
	})
	return f, err
}

func decodeRefused(body []byte) (f SessionRefused, err error) {
	err = decodeMembers(body, func(key []byte) any {
		if string(key) == "reason" {
			return &f.Reason
		}
		return nil
	})
	return f, err
}

func decodeEnded(body []byte) (f SessionEnded, err error) {
	err = decodeMembers(body, func(key []byte) any {
		switch string(key) {
		case "reason":
			return &f.Reason
		case "statements":
			return &f.Statements
		case "errors":
			return &f.Errors
		case "rows":
			return &f.Rows
		case "bytes_in":
			return &f.BytesIn
		case "bytes_out":
			return &f.BytesOut
		case "doubt":
			return &f.Doubt
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
