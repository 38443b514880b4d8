package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgproto3/v2"

	"gprxy/auth"
	"gprxy/pool/wire"
	"gprxy/session/refusal"
	"gprxy/session/startup"
)

// OAUTHBEARER is RFC 7628 as PostgreSQL 18 speaks it (manual: "SASL
// Authentication", src/backend/libpq/auth-oauth.c). It is the only mechanism
// offered: PostgreSQL never offers it beside SCRAM, and clients rely on that.
const mechanismOAuth = "OAUTHBEARER"

const (
	keyValueSeparator = 0x01
	separator         = "\x01"
)

// askToken asks for a token with OAUTHBEARER and returns the client's "auth"
// value: "Bearer" and the token, or "" if it asks where to get one.
func (s *session) askToken() (string, error) {
	if err := s.sendAuthentication(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{mechanismOAuth}}); err != nil {
		return "", err
	}
	response, err := s.readInitialResponse()
	if err != nil {
		return "", err
	}
	return parseClientResponse(response)
}

// authenticateOAuth verifies the token of an "auth" value.
func (s *session) authenticateOAuth(ctx context.Context, value string) error {
	token, err := cutBearer(value)
	if err != nil {
		return err
	}
	return s.authenticateToken(ctx, token, auth.MethodOAuth)
}

// sendAuthentication sends an authentication request, after the answer to the
// protocol negotiation if one is due.
func (s *session) sendAuthentication(request pgproto3.BackendMessage) error {
	message, err := encode(s.asked.negotiated, request)
	if err != nil {
		return err
	}
	s.asked.negotiated = nil
	_, err = s.client.conn.Write(message)
	return refusal.ClientLeft(err)
}

// readInitialResponse reads a SASLInitialResponse, or the response that follows
// one without data.
func (s *session) readInitialResponse() ([]byte, error) {
	body, err := startup.ReadFrame(s.client.conn, 'p', startup.MaxPassword)
	if err != nil {
		return nil, err
	}
	mechanism, rest, _ := bytes.Cut(body, []byte{0}) // without the zero there is no rest
	if len(rest) < wire.LengthSize {
		return nil, refusal.Malformed("invalid SASLInitialResponse message")
	}
	if string(mechanism) != mechanismOAuth {
		return nil, refusal.Malformed("client selected an invalid SASL authentication mechanism")
	}
	size, data := int32(binary.BigEndian.Uint32(rest)), rest[wire.LengthSize:]
	switch {
	case size == -1 && len(data) == 0:
		if err := s.sendAuthentication(&pgproto3.AuthenticationSASLContinue{}); err != nil {
			return nil, err
		}
		return startup.ReadFrame(s.client.conn, 'p', startup.MaxPassword)
	case int64(size) != int64(len(data)):
		return nil, refusal.Malformed("invalid SASLInitialResponse message")
	}
	return data, nil
}

// tellWhereToLogIn answers a client without a token, or with one that is no
// good, with the issuer's address, and lets it agree that this login failed. The
// client then fetches a token and comes back in another connection.
func (s *session) tellWhereToLogIn() error {
	challenge, err := json.Marshal(struct {
		Status   string `json:"status"`
		Document string `json:"openid-configuration"`
		Scope    string `json:"scope"`
	}{"invalid_token", strings.TrimSuffix(s.handler.OAuth.Issuer, "/") + "/.well-known/openid-configuration", s.handler.OAuth.Scope})
	if err != nil {
		return fmt.Errorf("encode the issuer's address: %w", err)
	}
	if err := s.sendAuthentication(&pgproto3.AuthenticationSASLContinue{Data: challenge}); err != nil {
		return err
	}
	_, err = startup.ReadFrame(s.client.conn, 'p', startup.MaxPassword) // whatever it says, this login has failed
	return err
}

// parseClientResponse takes the "auth" value out of an initial client response:
// gs2-header kvsep *( key "=" value kvsep ) kvsep.
func parseClientResponse(response []byte) (string, error) {
	if bytes.IndexByte(response, 0) >= 0 {
		return "", refusal.MalformedOAuth("message contains embedded null")
	}
	rest, err := cutGS2Header(string(response))
	if err != nil {
		return "", err
	}
	auth, seen := "", false
	for rest != separator {
		pair, after, _ := strings.Cut(rest, separator) // where it is missing, nothing follows, which is no pair
		key, value, assigns := strings.Cut(pair, "=")
		if !assigns || !isKey(key) || !isValue(value) {
			return "", refusal.MalformedOAuth("message contains an invalid key/value pair")
		}
		if key == "auth" {
			if seen {
				return "", refusal.MalformedOAuth("message contains multiple auth values")
			}
			auth, seen = value, true
		}
		rest = after
	}
	if !seen {
		return "", refusal.MalformedOAuth("message does not contain an auth value")
	}
	return auth, nil
}

// cutGS2Header takes off "n,," or "y,,": no channel binding, nobody else's name.
func cutGS2Header(response string) (string, error) {
	flag, rest, ok := strings.Cut(response, ",")
	switch {
	case flag == "p" || strings.HasPrefix(flag, "p="):
		return "", refusal.MalformedOAuth("the server does not support channel binding for OAuth, but the client message includes channel " +
			"binding data")
	case !ok || flag != "n" && flag != "y":
		return "", refusal.MalformedOAuth("unexpected channel-binding flag")
	}
	name, rest, _ := strings.Cut(rest, ",")
	switch {
	case name != "":
		return "", refusal.ErrAuthorizationIdentity
	case rest == "" || rest[0] != keyValueSeparator:
		return "", refusal.MalformedOAuth("key-value separator expected")
	}
	return rest[1:], nil
}

// cutBearer returns the token of "Bearer token" (RFC 6750: the scheme in any
// case, the token of b64token characters).
func cutBearer(value string) (string, error) {
	const scheme = "bearer "
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", &refusal.AuthFailure{Method: auth.MethodOAuth, Reason: auth.ReasonMalformed, Detail: "the scheme is not Bearer"}
	}
	token := strings.TrimLeft(value[len(scheme):], " ")
	plain := strings.TrimRight(token, "=")
	if plain == "" || strings.Trim(plain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/") != "" {
		return "", &refusal.AuthFailure{Method: auth.MethodOAuth, Reason: auth.ReasonMalformed, Detail: "the token has characters no token has"}
	}
	return token, nil
}

func isKey(key string) bool {
	for _, c := range []byte(key) {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return key != ""
}

func isValue(value string) bool {
	for _, c := range []byte(value) {
		if (c < ' ' || c > '~') && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}
