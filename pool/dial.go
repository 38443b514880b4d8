// Opening the socket to PostgreSQL, and TLS on it before the first startup packet.
//
// pgconn could do the TLS part, but its way to "prefer" is a second login over plain text, sent also after the
// server has refused the first one. Here SSLRequest is answered first, then there is one login on that connection.
package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"time"
)

var errNoTLS = errors.New("the server offers no TLS")

// sslRequest is the packet that asks for TLS: length 8, code 80877103.
var sslRequest = []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}

// dialTimeout bounds the TCP connection alone. Two lost packets, sent again after 1 and 3 s, are forgiven.
const dialTimeout = 5 * time.Second

// keepAlive finds out within 30 s of silence that a server's host has vanished.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// dialer opens connections to one server. It is immutable.
type dialer struct {
	network string // tcp or unix
	address string
	mode    string // sslmode
	tls     *tls.Config
}

func newDialer(c Config) (*dialer, error) {
	if filepath.IsAbs(c.Host) {
		// sslmode means nothing on a Unix socket, as in libpq.
		path := filepath.Join(c.Host, ".s.PGSQL."+strconv.Itoa(int(c.Port)))
		return &dialer{network: "unix", address: path, mode: "disable"}, nil
	}
	config, err := tlsConfig(c.Host, c.SSLMode, c.SSLRootCert)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	return &dialer{network: "tcp", address: address, mode: c.SSLMode, tls: config}, nil
}

// connect opens a connection and TLS on it as want says. The caller owns both results, which are two views of one
// connection: wire is the *tls.Conn or the socket itself.
func (d *dialer) connect(ctx context.Context, want security) (wire net.Conn, s *socket, err error) {
	wire, s, err = d.connectTo(ctx, d.address, want)
	if _, failed := errors.AsType[*handshakeError](err); failed && want == preferTLS && ctx.Err() == nil {
		// No password has been sent yet; prefer accepts a plain connection where TLS does not work.
		return d.connectTo(ctx, d.address, plainOnly)
	}
	return wire, s, err
}

func (d *dialer) connectTo(ctx context.Context, address string, want security) (net.Conn, *socket, error) {
	nd := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}
	raw, err := nd.DialContext(ctx, d.network, address) // asks for the name's addresses each time
	if err != nil {
		return nil, nil, err
	}
	s := &socket{Conn: raw}
	if want == plainOnly {
		return s, s, nil
	}
	wire, err := d.startTLS(ctx, s, want)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return wire, s, nil
}

// handshakeError is a failure after the server agreed to TLS.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// startTLS asks for TLS. The answer is read as one byte: what follows it belongs to the handshake or is an attack.
func (d *dialer) startTLS(ctx context.Context, s *socket, want security) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })
	answer, err := askTLS(s)
	if !stop() {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	switch answer {
	case 'S':
		conn := tls.Client(s, d.tls)
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, &handshakeError{err}
		}
		return conn, nil
	case 'N':
		if want == preferTLS {
			return s, nil
		}
		return nil, errNoTLS
	default:
		return nil, fmt.Errorf("unexpected answer %q to SSLRequest", answer)
	}
}

func askTLS(s *socket) (byte, error) {
	if _, err := s.Write(sslRequest); err != nil {
		return 0, fmt.Errorf("asking for TLS: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(s, answer[:]); err != nil {
		return 0, fmt.Errorf("reading the answer about TLS: %w", err)
	}
	return answer[0], nil
}
