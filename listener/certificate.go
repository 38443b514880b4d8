package listener

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// Certificate is a PEM certificate chain and its key on disk. It is read again
// when a file changes, so a renewal needs no restart; while the new files do
// not fit together, the old certificate stays in use.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex // guards the fields below
	current *tls.Certificate
	stamps  [2]stamp
	checked time.Time
}

// stamp tells two versions of a file apart.
type stamp struct {
	modified time.Time
	size     int64
}

// How often a handshake may look at the files' times.
const checkInterval = time.Second

// LoadCertificate reads both files. It fails when one is missing, unreadable or
// does not belong to the other.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	stamps, _ := c.stat() // what cannot be looked at cannot be read either
	var err error
	if c.current, err = c.read(); err != nil {
		return nil, err
	}
	c.stamps, c.checked = stamps, time.Now()
	return c, nil
}

// ServerConfig is the TLS configuration to serve clients with.
func (c *Certificate) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
		NextProtos:     []string{"postgresql"},
	}
}

// NotAfter is when the certificate that is served now expires.
func (c *Certificate) NotAfter() time.Time {
	served := c.get()
	if served.Leaf == nil {
		return time.Time{}
	}
	return served.Leaf.NotAfter
}

func (c *Certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= checkInterval {
		c.checked = now
		c.reload()
	}
	return c.current
}

func (c *Certificate) reload() {
	stamps, err := c.stat()
	if err == nil && stamps == c.stamps {
		return
	}
	var fresh *tls.Certificate
	if err == nil {
		fresh, err = c.read()
	}
	if err != nil {
		// A renewal writes two files one after the other: the next look may
		// find a pair again.
		c.log.Warn("the changed TLS certificate cannot be used, the old one stays", "error", err)
		return
	}
	c.current, c.stamps = fresh, stamps
	c.log.Info("the TLS certificate was read again", "file", c.certFile, "not_after", fresh.Leaf.NotAfter)
}

func (c *Certificate) read() (*tls.Certificate, error) {
	pair, err := LoadPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s with the key %s: %w", c.certFile, c.keyFile, err)
	}
	return &pair, nil
}

// LoadPair is tls.LoadX509KeyPair with an *EncryptedKeyError for a key that cannot be read without its password.
func LoadPair(certFile, keyFile string) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil && isEncrypted(keyFile) {
		err = &EncryptedKeyError{keyFile}
	}
	return pair, err
}

// EncryptedKeyError says that the key in File needs a password, which gprxy asks nobody for.
type EncryptedKeyError struct{ File string }

func (e *EncryptedKeyError) Error() string {
	return fmt.Sprintf("the key %s is encrypted with a password, and gprxy takes keys without one: %s", e.File, e.Remedy())
}

// Remedy is what to type.
func (e *EncryptedKeyError) Remedy() string {
	return fmt.Sprintf("write it without, for gprxy's user alone to read: (umask 077; openssl pkey -in %s -out NEW.key)", e.File)
}

// isEncrypted knows both forms: PKCS #8 (RFC 5958), and OpenSSL's older one with headers (RFC 1421).
func isEncrypted(keyFile string) bool {
	rest, err := os.ReadFile(keyFile)
	for block := (*pem.Block)(nil); err == nil; {
		if block, rest = pem.Decode(rest); block == nil {
			return false
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
	return false
}

func (c *Certificate) stat() (stamps [2]stamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, statErr := os.Stat(name)
		if statErr != nil {
			err = errors.Join(err, statErr)
			continue
		}
		stamps[i] = stamp{info.ModTime(), info.Size()}
	}
	return stamps, err
}
