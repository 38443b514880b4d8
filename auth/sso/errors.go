// The errors that a caller tells apart, with texts that say what to do.
// None of them holds a token, a code, or a text of the issuer that was not cleaned.

package sso

import (
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// ConfigError says which setting cannot work.
type ConfigError struct {
	Setting string // variable or flag
	Wrong   string // follows the setting in a sentence
	Instead string // what to do
}

func (e *ConfigError) Error() string { return e.Setting + " " + e.Wrong + "; " + e.Instead }

// UnsupportedError says that the issuer does not offer what was asked for.
type UnsupportedError struct {
	Issuer, What, Instead string
}

func (e *UnsupportedError) Error() string {
	return "the issuer " + shown(e.Issuer) + " offers no " + e.What + "; " + e.Instead
}

// PortError says that another program has the callback's port.
type PortError struct {
	Address string
	Err     error

	others []*PortError // every one of CALLBACK_URL, this one last; empty: it is the only one
}

func (e *PortError) Error() string {
	which := fmt.Sprintf("%s for the browser to come back to: %v", e.Address, e.Err)
	if len(e.others) > 1 {
		var all []string
		for _, one := range e.others {
			all = append(all, fmt.Sprintf("%s (%v)", one.Address, one.Err))
		}
		which = "any address of CALLBACK_URL for the browser to come back to: " + strings.Join(all, ", ")
	}
	return "cannot listen on " + which + "; choose another port with --port, or add one to CALLBACK_URL, which takes several with commas " +
		"(one that the issuer allows for this client; --port 0 takes any free one)"
}

func (e *PortError) Unwrap() error { return e.Err }

// DeniedError says that the person or the issuer refused the login, or that
// nobody answered in time.
type DeniedError struct {
	Issuer string
	Code   string // OAuth's, such as access_denied; "timeout" when nobody answered
	Reason string // the issuer's text, cleaned; may be empty
}

func (e *DeniedError) Error() string {
	switch e.Code {
	case "timeout":
		return "the login was not completed in time; run gprxy login again"
	case "expired_token":
		return "the code was not entered and approved in time; run gprxy login --device again"
	case "access_denied":
		return "the login was refused" + colon(e.Reason) + "; run gprxy login again, or ask whoever runs " + shown(e.Issuer) + " for access"
	case "invalid_grant":
		return "the issuer did not accept the code of this login, which was used already or is too old" + colon(e.Reason) +
			"; run gprxy login again"
	default:
		return "the issuer " + shown(e.Issuer) + " refused the login (" + shown(e.Code) + ")" + colon(e.Reason) +
			"; show this to whoever runs the issuer"
	}
}

// UnreachableError says that the issuer does not answer, or not like an issuer.
type UnreachableError struct {
	Issuer   string
	Answered bool // something answers there
	Err      error
}

func (e *UnreachableError) Error() string {
	if e.Answered {
		return fmt.Sprintf("what answers as the issuer %s cannot be used: %v; check OIDC_ISSUER and whether a proxy or a login page of the "+
			"network is in between, and try again",
			shown(e.Issuer), e.Err)
	}
	return fmt.Sprintf("cannot reach the issuer %s: %v; check the network (VPN, HTTPS_PROXY) and OIDC_ISSUER, and try again", shown(e.Issuer),
		e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// RevokedError says that the refresh token is dead: revoked, expired, or used elsewhere.
type RevokedError struct {
	Issuer string
	User   string
	Reason string // the issuer's text, cleaned; may be empty
}

func (e *RevokedError) Error() string {
	return "the login of " + shown(e.User) + " was ended by the issuer " + shown(e.Issuer) + colon(e.Reason) + "; run gprxy login"
}

// ExpiredError says that the tokens are past their time and cannot be renewed.
type ExpiredError struct {
	Issuer  string
	User    string
	Expires time.Time
}

func (e *ExpiredError) Error() string {
	return "the login of " + shown(e.User) + " expired at " + e.Expires.UTC().Format(time.RFC3339) + " and cannot be renewed; run gprxy login"
}

// StateError says that an answer from the browser does not belong to this login.
type StateError struct {
	Reason string
}

func (e *StateError) Error() string {
	return "the answer that came to the callback does not belong to this login: " + e.Reason +
		"; nothing was saved; run gprxy login again and open the address it shows, and no older one"
}

// IDTokenError says that the issuer's ID token proves nothing.
type IDTokenError struct {
	Issuer string
	Reason string // cleaned
}

func (e *IDTokenError) Error() string {
	return "the ID token of the issuer " + shown(e.Issuer) + " cannot be accepted: " + e.Reason +
		"; nothing was saved; check OIDC_CLIENT_ID, and show this to whoever runs the issuer"
}

// ClockError says that this machine's clock and the issuer's differ too much.
type ClockError struct {
	Off time.Duration // how far this machine's clock is ahead; negative: behind
}

func (e *ClockError) Error() string {
	where := "ahead of"
	if e.Off < 0 {
		where = "behind"
	}
	return fmt.Sprintf("this machine's clock is %v %s the issuer's; set the clock and try again", e.Off.Abs().Round(time.Second), where)
}

// NoLoginError says that nobody is logged in.
type NoLoginError struct {
	Path   string
	Issuer string // empty: at any issuer
}

func (e *NoLoginError) Error() string {
	at := ""
	if e.Issuer != "" {
		at = " at " + shown(e.Issuer)
	}
	return "nobody is logged in" + at + "; run gprxy login"
}

// AmbiguousError says that the file holds several logins and nothing says which is meant.
type AmbiguousError struct {
	Logins []Tokens
}

func (e *AmbiguousError) Error() string {
	var list []string
	for _, t := range e.Logins {
		list = append(list, fmt.Sprintf("%s with OIDC_CLIENT_ID=%s and AUDIENCE=%s", shown(t.Issuer), shown(t.ClientID), shown(t.Audience)))
	}
	return "there are several logins: " + strings.Join(list, ", ") + "; say which with OIDC_ISSUER, OIDC_CLIENT_ID and AUDIENCE"
}

// PermissionError says that others can get at the credentials.
type PermissionError struct {
	Path string
	Mode fs.FileMode
	Why  string // follows the path in a sentence
	Fix  string // a command
}

func (e *PermissionError) Error() string {
	return e.Path + " " + e.Why + "; make sure that nobody else has used what it holds, then: " + e.Fix
}

// FileError says that the credentials file cannot be read or written.
type FileError struct {
	Path string
	What string // follows the path in a sentence
	Fix  string
	Err  error // may be nil
}

func (e *FileError) Error() string {
	text := "the credentials file " + e.Path + " " + e.What
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text + "; " + e.Fix
}

func (e *FileError) Unwrap() error { return e.Err }

// BusyError says that another process held the lock for too long.
type BusyError struct {
	Path string
}

func (e *BusyError) Error() string {
	return "another gprxy has been holding " + e.Path + " for too long; end it and try again"
}
