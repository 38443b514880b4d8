// SASL: the login by SCRAM-SHA-256, done here because pgconn prepares passwords in another way than PostgreSQL does.
package pool

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gprxy/pool/wire"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"
)

const (
	scramSHA256     = "SCRAM-SHA-256"
	scramSHA256Plus = "SCRAM-SHA-256-PLUS" // bound to the TLS connection

	// Authentication requests (manual, "Message Formats").
	authenticationOK           = 0
	authenticationSASL         = 10
	authenticationSASLContinue = 11
	authenticationSASLFinal    = 12

	// maxIterations bounds what a server may have computed: PostgreSQL's scram_iterations is 4096 by default, and this takes
	// some seconds.
	maxIterations = 10_000_000
)

// saslLogin lies between PostgreSQL and pgconn until the login is done. It answers a request for SCRAM itself, and pgconn
// hears of it only how it ended: by AuthenticationOk or by PostgreSQL's error. Everything else passes as it comes. It
// belongs to whoever may use the connection.
type saslLogin struct {
	r        io.Reader
	w        io.Writer
	password string
	secured  *tls.Conn // nil: no TLS
	asked    func()    // told when SCRAM is asked for

	ready []byte // for pgconn
	over  bool   // nothing of the login is to come: what r gives is for pgconn
}

// saslLogin is put below the observer, which does not see what is answered here.
func (o *opening) saslLogin(r io.Reader, w io.Writer) *saslLogin {
	observer := o.backend.observer
	secured, _ := o.backend.wire.(*tls.Conn)
	return &saslLogin{r: r, w: w, password: o.request.Password, secured: secured, asked: func() {
		observer.asked = true
		observer.spoken.Store(true)
	}}
}

func (s *saslLogin) Read(p []byte) (int, error) {
	for len(s.ready) == 0 && !s.over {
		if err := s.follow(); err != nil {
			return 0, err
		}
	}
	if len(s.ready) > 0 {
		n := copy(p, s.ready)
		s.ready = s.ready[n:]
		return n, nil
	}
	return s.r.Read(p)
}

// follow reads one message, and answers it or leaves it for pgconn.
func (s *saslLogin) follow() error {
	kind, body, err := s.receive()
	if err != nil || s.over {
		return err
	}
	request, data := authenticationRequest(kind, body)
	if request == authenticationSASL && slices.Contains(mechanisms(data), scramSHA256) {
		s.asked()
		return s.answer(mechanisms(data))
	}
	s.hand(kind, body)
	s.over = kind == 'E' || kind == 'Z' || kind == 'R' && request == authenticationOK
	return nil
}

// answer goes through SCRAM (RFC 5802, RFC 7677). The server must prove, too, that it knows the password.
func (s *saslLogin) answer(offered []string) error {
	client, err := scram.SHA256.NewClientUnprepped("", preparedPassword(s.password), "")
	if err != nil {
		return fmt.Errorf("SCRAM: %w", err)
	}
	mechanism, talk := s.begin(client.WithMinIterations(1), offered) // the server's DBA chooses how many
	first, err := talk.Step("")
	if err != nil {
		return fmt.Errorf("SCRAM: %w", err)
	}
	if err := s.send(&pgproto3.SASLInitialResponse{AuthMechanism: mechanism, Data: []byte(first)}); err != nil {
		return err
	}
	challenge, ok, err := s.expect(authenticationSASLContinue)
	if err != nil || !ok {
		return err
	}
	if err := checkIterations(challenge); err != nil {
		return err
	}
	proof, err := talk.Step(challenge)
	if err != nil {
		return fmt.Errorf("SCRAM: %w", err)
	}
	if err := s.send(&pgproto3.SASLResponse{Data: []byte(proof)}); err != nil {
		return err
	}
	verdict, ok, err := s.expect(authenticationSASLFinal)
	if err != nil || !ok {
		return err
	}
	if _, err := talk.Step(verdict); err != nil || !talk.Valid() {
		return errors.New("SCRAM: the server did not prove that it knows the password")
	}
	return nil
}

// begin binds the login to the TLS connection where both sides can, so that nobody in between can pass it on.
func (s *saslLogin) begin(client *scram.Client, offered []string) (mechanism string, talk *scram.ClientConversation) {
	if s.secured == nil {
		return scramSHA256, client.NewConversation()
	}
	if !slices.Contains(offered, scramSHA256Plus) {
		return scramSHA256, client.NewConversationAdvertisingChannelBinding()
	}
	state := s.secured.ConnectionState()
	binding, err := scram.NewTLSServerEndpointBinding(&state)
	if err != nil { // a certificate whose signature has no hash by that standard, such as Ed25519
		return scramSHA256, client.NewConversation()
	}
	return scramSHA256Plus, client.NewConversationWithChannelBinding(binding)
}

// expect waits for the wanted request. Not ok: PostgreSQL has ended the login with an error, which pgconn will read.
func (s *saslLogin) expect(want uint32) (data string, ok bool, err error) {
	for {
		kind, body, err := s.receive()
		if err != nil {
			return "", false, err
		}
		request, data := authenticationRequest(kind, body)
		switch {
		case kind == 'R' && request == want && !s.over:
			return string(data), true, nil
		case kind == 'N':
			s.hand(kind, body)
		case kind == 'E' || s.over:
			s.hand(kind, body)
			s.over = true
			return "", false, nil
		default:
			return "", false, fmt.Errorf("SCRAM: the server sent a message of type %q where authentication goes on", kind)
		}
	}
}

// receive reads one message. One of an impossible length is left to pgconn, which refuses it.
func (s *saslLogin) receive() (kind byte, body []byte, err error) {
	var header [wire.HeaderSize]byte
	if _, err := io.ReadFull(s.r, header[:]); err != nil {
		return 0, nil, err
	}
	length := int64(binary.BigEndian.Uint32(header[1:])) - 4
	if length < 0 || length > maxMessage {
		s.ready, s.over = append(s.ready, header[:]...), true
		return 0, nil, nil
	}
	body = make([]byte, length)
	if _, err := io.ReadFull(s.r, body); err != nil {
		return 0, nil, err
	}
	return header[0], body, nil
}

// hand leaves a message for pgconn.
func (s *saslLogin) hand(kind byte, body []byte) {
	if kind == 0 {
		return
	}
	s.ready = binary.BigEndian.AppendUint32(append(s.ready, kind), uint32(len(body)+4))
	s.ready = append(s.ready, body...)
}

func (s *saslLogin) send(message pgproto3.FrontendMessage) error {
	packet, err := message.Encode(nil)
	if err != nil {
		return fmt.Errorf("SCRAM: %w", err)
	}
	_, err = s.w.Write(packet)
	return err
}

// authenticationRequest takes an Authentication message apart; every other message is none that counts here.
func authenticationRequest(kind byte, body []byte) (request uint32, data []byte) {
	const none = 1<<32 - 1
	if kind != 'R' || len(body) < 4 {
		return none, nil
	}
	return binary.BigEndian.Uint32(body), body[4:]
}

// mechanisms are the names of a list in which each ends with a NUL, as does the list.
func mechanisms(data []byte) (names []string) {
	for name := range bytes.SplitSeq(data, []byte{0}) {
		if len(name) > 0 {
			names = append(names, string(name))
		}
	}
	return names
}

func checkIterations(challenge string) error {
	_, count, _ := strings.Cut(challenge, ",i=")
	count, _, _ = strings.Cut(count, ",")
	if n, err := strconv.Atoi(count); err != nil || n < 1 || n > maxIterations {
		return errors.New("SCRAM: the server wants an impossible number of iterations")
	}
	return nil
}
