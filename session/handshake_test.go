package session_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"gprxy/store"
)

// of returns the lines that hold text.
func (l *lines) of(text string) (all []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			all = append(all, line)
		}
	}
	return all
}

// A handshake that fails is told in the log, in words of use, and is counted in the event log; many fill neither.
func TestAFailedHandshakeIsToldAndCounted(t *testing.T) {
	t.Parallel()
	_, secure := withTLS(t)
	var log lines
	p := startProxy(t, secure, fromLoadBalancers, func(o *options) {
		o.logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo})) // as production
	})
	fail := func(address string, shake func(net.Conn)) {
		conn := dialAs(t, p, address)
		send(t, conn, sslRequest)
		if got := receiveByte(t, conn); got != 'S' {
			t.Fatalf("answer %q", got)
		}
		shake(conn)
		io.ReadAll(conn)
		conn.Close()
	}
	leave := func(conn net.Conn) { conn.Close() }
	fail("192.0.2.1:1", func(conn net.Conn) {
		tls.Client(conn, &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()}).Handshake()
	})
	fail("192.0.2.2:1", func(conn net.Conn) { send(t, conn, "GET / HTTP/1.1\r\n\r\n") })
	fail("192.0.2.3:1", leave)
	const many = 70
	for range many {
		fail("192.0.2.4:1", leave)
	}
	eventually(t, "each is told, many are not", 20*time.Second, func() bool { return len(log.of("reason=tls_handshake")) >= 63 })
	for address, words := range map[string]string{
		"192.0.2.1:1": "the client does not trust gprxy's certificate",
		"192.0.2.2:1": "first record does not look like a TLS handshake",
		"192.0.2.3:1": "the client closed the connection",
	} {
		if told := log.of("client=" + address); len(told) != 1 || !strings.Contains(told[0], words) || !strings.Contains(told[0], "level=WARN") {
			t.Errorf("of %s the log says %q, want %q", address, told, words)
		}
	}
	counts := map[string]int64{}
	eventually(t, "all are counted", 20*time.Second, func() bool {
		p.handler.Close()
		clear(counts)
		for _, r := range p.records(store.LogCondensed{}.Type()) {
			var fact store.LogCondensed
			if err := json.Unmarshal(r.Detail, &fact); err != nil {
				t.Fatal(err)
			}
			if fact.Of == "connection.refused" && fact.Reason == "tls_handshake" {
				counts[fact.Client] += fact.Count
			}
		}
		return counts["192.0.2.1"] == 1 && counts["192.0.2.2"] == 1 && counts["192.0.2.3"] == 1 && counts["192.0.2.4"] == many
	})
	if told := log.of("counted together"); len(told) != len(log.of("client=192.0.2.4 count=")) || len(told) == 0 {
		t.Errorf("told as counted: %q", told)
	}
	if all := p.records(); len(all) > 8 {
		t.Errorf("%d events, want one for each address", len(all))
	}
}
