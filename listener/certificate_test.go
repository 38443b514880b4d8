package listener

import (
	"bytes"
	"crypto/ecdsa"
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

// A key that needs a password is told as that, at the start and when a renewal brings one. Both keys are openssl's.
func TestEncryptedKeys(t *testing.T) {
	for _, key := range []string{"testdata/encrypted-pkcs8.key", "testdata/encrypted-traditional.key"} {
		files, _ := EnsureLocalCA(t.TempDir(), "")
		_, err := LoadCertificate(files.CertFile, key, nil)
		for _, want := range []string{key + " is encrypted with a password", "(umask 077; openssl pkey -in " + key + " -out NEW.key)"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", key, err, want)
			}
		}
		var log bytes.Buffer
		c, err := LoadCertificate(files.CertFile, files.KeyFile, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		before := served(t, c)
		replace(t, key, files.KeyFile)
		if after := served(t, c); !after.Equal(before) || !strings.Contains(log.String(), "is encrypted with a password") {
			t.Errorf("%s in a renewal: %s", key, log.String())
		}
	}
	// A pair that is wrong for another reason is not called encrypted.
	a, _ := EnsureLocalCA(t.TempDir(), "")
	b, _ := EnsureLocalCA(t.TempDir(), "")
	if _, err := LoadCertificate(a.CertFile, b.KeyFile, nil); err == nil || strings.Contains(err.Error(), "encrypted") {
		t.Errorf("a key of another: %v", err)
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
	fresher := served(t, c)
	if fresher.Equal(first) {
		t.Error("the renewed certificate is not served")
	}
	served(t, c)
	if n := strings.Count(log.String(), "was read again"); n != 1 {
		t.Errorf("the files changed once and were read %d times", n)
	}
	// Handshakes, which anybody can begin, look at the files now and then only.
	replace(t, fresh.RootFile, old.CertFile)
	c.mu.Lock()
	c.checked = time.Now().Add(time.Hour)
	c.mu.Unlock()
	before := log.String()
	if got := handshake(t, c, &tls.Config{}); !fresher.Equal(got.PeerCertificates[0]) || log.String() != before {
		t.Error("the files were looked at again at once")
	}
}

// Clients get PostgreSQL's protocol and no TLS older than 1.2.
func TestWhatTLSIsSpoken(t *testing.T) {
	files, _ := EnsureLocalCA(t.TempDir(), "")
	c, err := LoadCertificate(files.CertFile, files.KeyFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := handshake(t, c, &tls.Config{NextProtos: []string{"postgresql"}}); got.NegotiatedProtocol != "postgresql" {
		t.Errorf("the protocol is %q", got.NegotiatedProtocol)
	}
	near, far := net.Pipe()
	defer near.Close()
	go tls.Client(near, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}).Handshake()
	if err := tls.Server(far, c.ServerConfig()).Handshake(); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

// remake signs the certificate in certFile anew, to end then.
func remake(t *testing.T, certFile, keyFile string, parent *x509.Certificate, signer *ecdsa.PrivateKey, end time.Time) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	pair.Leaf.NotAfter = end
	key := pair.PrivateKey.(*ecdsa.PrivateKey)
	if parent == nil {
		parent, signer = pair.Leaf, key
	}
	if _, err := sign(pair.Leaf, parent, key, signer, certFile, keyFile); err != nil {
		t.Fatal(err)
	}
}

// What is on disk is taken only while it will do for a month more, and belongs together.
func TestLocalCAThatWillNotDo(t *testing.T) {
	soon := time.Now().Add(localRenew - time.Hour)
	other, otherKey, err := ensureRoot(filepath.Join(t.TempDir(), "root.crt"), filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name       string
		spoil      func(t *testing.T, files LocalCA, rootKey string)
		host       string
		root, cert bool // is it made anew?
	}{
		{"nothing is wrong", func(*testing.T, LocalCA, string) {}, "localhost", false, false},
		{"a host that means all addresses needs no name", func(*testing.T, LocalCA, string) {}, "0.0.0.0", false, false},
		{"another host", func(*testing.T, LocalCA, string) {}, "db.example.com", false, true},
		{"the root ends soon", func(t *testing.T, files LocalCA, rootKey string) {
			remake(t, files.RootFile, rootKey, nil, nil, soon)
		}, "localhost", true, true},
		{"the certificate ends soon", func(t *testing.T, files LocalCA, rootKey string) {
			root, key, err := ensureRoot(files.RootFile, rootKey)
			if err != nil {
				t.Fatal(err)
			}
			remake(t, files.CertFile, files.KeyFile, root, key, soon)
		}, "localhost", false, true},
		{"the certificate is of another root", func(t *testing.T, files LocalCA, _ string) {
			remake(t, files.CertFile, files.KeyFile, other, otherKey, time.Now().Add(localCertLife))
		}, "localhost", false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			files, err := EnsureLocalCA(dir, "localhost")
			if err != nil {
				t.Fatal(err)
			}
			test.spoil(t, files, filepath.Join(dir, "root.key"))
			root, cert := content(t, files.RootFile), content(t, files.CertFile)
			if _, err := EnsureLocalCA(dir, test.host); err != nil {
				t.Fatal(err)
			}
			if got := content(t, files.RootFile) != root; got != test.root {
				t.Errorf("the root was made anew: %v", got)
			}
			if got := content(t, files.CertFile) != cert; got != test.cert {
				t.Errorf("the certificate was made anew: %v", got)
			}
		})
	}
	if other.MaxPathLen != 0 || !other.MaxPathLenZero {
		t.Error("the root may sign other authorities")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "root.crt"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "root.key"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := EnsureLocalCA(dir, ""); err == nil || !strings.Contains(err.Error(), "delete "+dir) {
		t.Errorf("a root that cannot be read: %v", err)
	}
}

func content(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
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
	return handshake(t, c, &tls.Config{}).PeerCertificates[0]
}

// handshake shakes hands as a client that takes any certificate.
func handshake(t *testing.T, c *Certificate, config *tls.Config) tls.ConnectionState {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go tls.Server(far, c.ServerConfig()).Handshake()
	config.InsecureSkipVerify = true
	client := tls.Client(near, config)
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	return client.ConnectionState()
}
