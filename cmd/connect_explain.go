// Why a login to gprxy failed, in words a person can act on.

package cmd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"gprxy/cmd/settings"

	"github.com/jackc/pgx/v5/pgconn"
)

const probeTimeout = 10 * time.Second

// errNoTLS is a gprxy that answers, but not over TLS.
var errNoTLS = errors.New("the server offers no TLS")

// explain turns an error of a connection or login into one that says what to do. What gprxy or
// PostgreSQL said is told in their words, with their hint.
func (t target) explain(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return t.explainRefusal(refused)
	}
	if wrong := t.explainCertificate(err); wrong != nil {
		return wrong
	}
	if wrong := t.explainSocket(err); wrong != nil {
		return wrong
	}
	var dns *net.DNSError
	where := "gprxy at " + t.address()
	switch {
	case errors.Is(err, errNoTLS) || strings.Contains(err.Error(), "server refused TLS connection"):
		return t.explainNoTLS()
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s cannot be reached: nothing listens there; check --server and --port, and that gprxy runs", where)
	case errors.As(err, &dns):
		return fmt.Errorf("%s cannot be reached: there is no host %s; check --server or PROXY_URL, and the network (VPN)", where, t.host)
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s cannot be reached: it does not answer; check --server and --port, and the network (VPN, firewall)", where)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%s closed the connection without a word; check that it is gprxy that listens there", where)
	case errors.Is(err, context.Canceled):
		return err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("%s cannot be reached: %w", where, op.Err)
	}
	if connecting, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		err = connecting.Unwrap()
	}
	return fmt.Errorf("the login at %s failed: %w", where, err)
}

// explainRefusal adds what to do where the server gives no hint.
func (t target) explainRefusal(e *pgconn.PgError) error {
	do := e.Hint
	switch e.Code {
	case "28P01":
		do = "The token was not accepted: run gprxy login for a fresh one. If that does not help, OIDC_ISSUER or AUDIENCE may be other ones " +
			"than gprxy has; its event log has the reason."
	case "28000":
		if do == "" {
			do = "gprxy whoami shows your roles."
		} else {
			do += " gprxy whoami shows your roles."
		}
	case "3D000":
		do = "Check --database."
	case "42501":
		do = "The account of your role may not use this database: ask for a role that may, or choose another one of yours with --account."
	}
	if do != "" {
		do = "\n" + do
	}
	return fmt.Errorf("the login was refused: %s (%s)%s", e.Message, e.Code, do)
}

// explainCertificate is nil for what is no matter of certificates.
func (t target) explainCertificate(err error) error {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	what := "the certificate of gprxy at " + t.address() + " is not trusted: "
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("%sit was not made for %s; use the name it was made for with --server: %w", what, t.host, name)
	case errors.As(err, &authority):
		return fmt.Errorf("%swho signed it is not among the CAs in use (%s); name the right file with --sslrootcert", what, t.rootsInWords())
	case errors.As(err, &invalid):
		return fmt.Errorf("%s%w; ask whoever runs gprxy, and check this machine's clock", what, invalid)
	}
	if changed, ok := errors.AsType[*changedError](err); ok {
		return fmt.Errorf("%s%w", what, changed)
	}
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%s%w; name the file of its CA with --sslrootcert", what, unverified.Err)
	}
	return nil
}

// rootsInWords names the CAs in use.
func (t target) rootsInWords() string {
	if t.rootCert == rootSystem {
		return "those of this machine"
	}
	return t.rootCert
}

func (t target) explainNoTLS() error {
	why := ""
	if t.guessedTLS != "" {
		why = ", and one with TLS was expected because " + t.guessedTLS
	}
	instead := "ask whoever runs it for PROXY_CERT"
	switch {
	case t.known != nil:
		instead = "somebody else may listen there, and would get your token; if gprxy does without TLS now, add --new-certificate once"
	case settings.IsLoopback(t.host):
		instead = "--sslmode disable does without, which on this machine is fine"
	}
	return &noTLSError{fmt.Sprintf("gprxy at %s offers no TLS%s; %s", t.address(), why, instead)}
}

// noTLSError is errNoTLS in words for the person.
type noTLSError struct{ text string }

func (e *noTLSError) Error() string { return e.text }

func (e *noTLSError) Unwrap() error { return errNoTLS }

// probe looks whether gprxy can be reached and its certificate trusted, and leaves before any login.
func (t target) probe(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, probeTimeout)
	defer done()
	conn, err := new(net.Dialer).DialContext(ctx, t.network(), t.address())
	if err != nil {
		return t.explain(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	config, err := t.tlsConfig()
	if err != nil || config == nil {
		return err
	}
	if err := startTLS(ctx, conn, config); err != nil && !(errors.Is(err, errNoTLS) && t.orPlain()) {
		return t.explain(err)
	}
	return nil
}

// startTLS asks for TLS as clients of PostgreSQL do: SSLRequest (manual, "Message Formats"), then TLS.
func startTLS(ctx context.Context, conn net.Conn, config *tls.Config) error {
	if _, err := conn.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil {
		return err
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if answer[0] != 'S' {
		return errNoTLS
	}
	return tls.Client(conn, config).HandshakeContext(ctx)
}
