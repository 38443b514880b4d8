package listener

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The local CA's certificate is one that a client with verify-full accepts, for
// each name the proxy is reached by, and it is kept.
func TestLocalCA(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	files, err := EnsureLocalCA(dir, "db.example.com")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "db.example.com"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots(t, files)}); err != nil {
			t.Errorf("for %s: %v", name, err)
		}
	}
	for name, mode := range map[string]os.FileMode{files.KeyFile: 0o600, filepath.Join(dir, "root.key"): 0o600, dir: 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, mode)
		}
	}
	again, err := EnsureLocalCA(dir, "db.example.com")
	if kept, _ := tls.LoadX509KeyPair(again.CertFile, again.KeyFile); err != nil || !kept.Leaf.Equal(pair.Leaf) {
		t.Errorf("a second start has another certificate (%v)", err)
	}
	if _, err := EnsureLocalCA(dir, "other.example.com"); err != nil {
		t.Fatal(err)
	}
	other, _ := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if _, err := other.Leaf.Verify(x509.VerifyOptions{DNSName: "other.example.com", Roots: roots(t, files)}); err != nil {
		t.Errorf("after the host changed: %v", err)
	}
}

func roots(t *testing.T, files LocalCA) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(files.RootFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("the root file has no certificate")
	}
	return pool
}

func TestCertificateMustBeAPair(t *testing.T) {
	a, _ := EnsureLocalCA(t.TempDir(), "")
	b, _ := EnsureLocalCA(t.TempDir(), "")
	for name, pair := range map[string][2]string{
		"a key of another": {a.CertFile, b.KeyFile},
		"no key":           {a.CertFile, filepath.Join(t.TempDir(), "none")},
		"no certificate":   {filepath.Join(t.TempDir(), "none"), a.KeyFile},
		"swapped":          {a.KeyFile, a.CertFile},
	} {
		if _, err := LoadCertificate(pair[0], pair[1], nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A renewed pair is served without a restart; a pair that is half renewed is not.
func TestCertificateIsReadAgain(t *testing.T) {
	old, _ := EnsureLocalCA(t.TempDir(), "")
	fresh, _ := EnsureLocalCA(t.TempDir(), "")
	var log bytes.Buffer
	c, err := LoadCertificate(old.CertFile, old.KeyFile, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	first := served(t, c)
	replace(t, fresh.KeyFile, old.KeyFile)
	if got := served(t, c); !got.Equal(first) {
		t.Error("with half a pair, another certificate is served")
	}
	if !strings.Contains(log.String(), "the old one stays") {
		t.Errorf("log %q", log.String())
	}
	replace(t, fresh.CertFile, old.CertFile)
	if got := served(t, c); got.Equal(first) {
		t.Error("the renewed certificate is not served")
	}
}

func replace(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// served shakes hands and returns the certificate the client gets.
func served(t *testing.T, c *Certificate) *x509.Certificate {
	t.Helper()
	c.mu.Lock()
	c.checked = time.Time{} // as if the last look were long ago
	c.mu.Unlock()
	near, far := net.Pipe()
	defer near.Close()
	go tls.Server(far, c.ServerConfig()).Handshake()
	client := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	return client.ConnectionState().PeerCertificates[0]
}
