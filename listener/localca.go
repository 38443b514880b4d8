package listener

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// LocalCA are the files of a development certificate authority and the server
// certificate it signed: what PROXY_CERT=auto uses.
type LocalCA struct {
	RootFile string // give this to clients as sslrootcert
	CertFile string
	KeyFile  string
}

const (
	localRootLife = 10 * 365 * 24 * time.Hour
	localCertLife = 397 * 24 * time.Hour // what browsers and Apple accept at most
	localRenew    = 30 * 24 * time.Hour
)

// EnsureLocalCA makes, in dir, a CA and a server certificate for localhost, the
// machine's name and host, or takes those already there when they are still
// good for a month and name host. The CA's key signs and is then kept readable
// by the owner alone.
func EnsureLocalCA(dir, host string) (LocalCA, error) {
	files := LocalCA{
		RootFile: filepath.Join(dir, "root.crt"),
		CertFile: filepath.Join(dir, "server.crt"),
		KeyFile:  filepath.Join(dir, "server.key"),
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return files, fmt.Errorf("make the folder for the local certificate: %w", err)
	}
	root, rootKey, err := ensureRoot(files.RootFile, filepath.Join(dir, "root.key"))
	if err != nil {
		return files, err
	}
	if stillGood(files, root, host) {
		return files, nil
	}
	return files, issueServerCertificate(files, root, rootKey, host)
}

func ensureRoot(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil {
		if key, ok := pair.PrivateKey.(*ecdsa.PrivateKey); ok && time.Until(pair.Leaf.NotAfter) > localRenew {
			return pair.Leaf, key, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("read the local CA (delete %s to have a new one made): %w", filepath.Dir(certFile), err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the local CA's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "gprxy local development CA"},
		NotAfter:              time.Now().Add(localRootLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	root, err := sign(template, template, key, key, certFile, keyFile)
	return root, key, err
}

func issueServerCertificate(files LocalCA, root *x509.Certificate, rootKey *ecdsa.PrivateKey, host string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the local certificate's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "gprxy on this machine"},
		NotAfter:    time.Now().Add(localCertLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		template.DNSNames = append(template.DNSNames, name)
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else if host != "" && host != "localhost" {
		template.DNSNames = append(template.DNSNames, host)
	}
	_, err = sign(template, root, key, rootKey, files.CertFile, files.KeyFile)
	return err
}

// sign fills in what all certificates share, signs, and writes key and
// certificate; the key first, so that a certificate on disk always has its key.
func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey, certFile, keyFile string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw a certificate's serial number: %w", err)
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour) // clocks differ
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign a local certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a local key: %w", err)
	}
	if err := writePEM(keyFile, "PRIVATE KEY", keyDER, 0o600); err != nil {
		return nil, err
	}
	if err := writePEM(certFile, "CERTIFICATE", der, 0o644); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func writePEM(name, kind string, der []byte, mode os.FileMode) error {
	fresh := name + ".new"
	if err := os.WriteFile(fresh, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(fresh, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func stillGood(files LocalCA, root *x509.Certificate, host string) bool {
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil || time.Until(pair.Leaf.NotAfter) < localRenew {
		return false
	}
	if host != "" && net.ParseIP(host).IsUnspecified() {
		host = ""
	}
	if host != "" && pair.Leaf.VerifyHostname(host) != nil {
		return false
	}
	return pair.Leaf.CheckSignatureFrom(root) == nil
}
