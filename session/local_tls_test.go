package session

import (
	"crypto/tls"
	"log/slog"
	"testing"

	"gprxy/listener"
)

// localTLS is a server's configuration with a certificate made for it.
func localTLS(tb testing.TB) *tls.Config {
	tb.Helper()
	files, err := listener.EnsureLocalCA(tb.TempDir(), "localhost")
	if err != nil {
		tb.Fatal(err)
	}
	certificate, err := listener.LoadCertificate(files.CertFile, files.KeyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	return certificate.ServerConfig()
}
