// Signed notes, the form in which heads of logs are exchanged: a text, an empty line, and lines of
// signatures that name their keys. https://c2sp.org/signed-note

package store

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// algEd25519 is the kind of key and signature that is used here.
const algEd25519 = 1

// VerifierKey checks signatures. Its text is NAME+HASH+KEY, as the specification has it.
type VerifierKey struct {
	Name string
	key  ed25519.PublicKey
}

// SignerKey makes signatures. It is a secret, and is not shown by any of its methods but encode.
type SignerKey struct {
	VerifierKey
	private ed25519.PrivateKey
}

// newSignerKey makes a key whose name is told by name from its public half.
func newSignerKey(name func(ed25519.PublicKey) string) (*SignerKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &SignerKey{VerifierKey{name(public), public}, private}, nil
}

// id is the hash that stands in keys and signatures to tell keys of one name apart.
func (k VerifierKey) id() uint32 {
	h := sha256.New()
	h.Write([]byte(k.Name + "\n"))
	h.Write([]byte{algEd25519})
	h.Write(k.key)
	return binary.BigEndian.Uint32(h.Sum(nil))
}

// ID is the key's hash as it stands in its text.
func (k VerifierKey) ID() string { return fmt.Sprintf("%08x", k.id()) }

func (k VerifierKey) String() string {
	return k.Name + "+" + k.ID() + "+" + encodeKey(k.key)
}

// encode gives the secret text of the key.
func (k *SignerKey) encode() string {
	return "PRIVATE+KEY+" + k.Name + "+" + k.ID() + "+" + encodeKey(k.private.Seed())
}

func encodeKey(key []byte) string {
	return base64.StdEncoding.EncodeToString(append([]byte{algEd25519}, key...))
}

// ParseVerifierKey reads NAME+HASH+KEY.
func ParseVerifierKey(text string) (VerifierKey, error) {
	name, id, key, err := parseKey(strings.TrimSpace(text), ed25519.PublicKeySize)
	if err != nil {
		return VerifierKey{}, err
	}
	k := VerifierKey{name, key}
	if k.ID() != id {
		return VerifierKey{}, errors.New("the key is damaged: its hash is not that of its name and bytes")
	}
	return k, nil
}

func parseSignerKey(text string) (*SignerKey, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "PRIVATE+KEY+")
	if !ok {
		return nil, errors.New("this is not a signer key")
	}
	name, id, seed, err := parseKey(rest, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	private := ed25519.NewKeyFromSeed(seed)
	k := &SignerKey{VerifierKey{name, private.Public().(ed25519.PublicKey)}, private}
	if k.ID() != id {
		return nil, errors.New("the key is damaged: its hash is not that of its name and bytes")
	}
	return k, nil
}

func parseKey(text string, size int) (name, id string, key []byte, err error) {
	name, rest, _ := strings.Cut(text, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	key, err = base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || !validKeyName(name) || len(key) != 1+size || key[0] != algEd25519 {
		return "", "", nil, errors.New("this is not an Ed25519 key of the form NAME+HASH+KEY")
	}
	return name, id, key[1:], nil
}

// validKeyName is the specification's rule for names.
func validKeyName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || r == '+' })
}

// signature begins with the key's id.
func (k *SignerKey) signature(text []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, k.id()), ed25519.Sign(k.private, text)...)
}

// signNote gives the note of a text, which ends with a line break.
func signNote(text []byte, k *SignerKey) []byte {
	note := append(bytes.Clone(text), "\n— "+k.Name+" "...)
	return append(base64.StdEncoding.AppendEncode(note, k.signature(text)), '\n')
}

// maxNote bounds what is read as a note.
const maxNote = 64 << 10

// openNote gives the text of a note that the key has signed. Signatures of others are passed over.
func openNote(note []byte, k VerifierKey) (text []byte, err error) {
	malformed := errors.New("this is not a signed note")
	split := bytes.LastIndex(note, []byte("\n\n"))
	if split < 0 || len(note) > maxNote || !bytes.HasSuffix(note, []byte("\n")) || bytes.ContainsFunc(note, notInNote) {
		return nil, malformed
	}
	text = note[:split+1]
	signed := false
	for line := range strings.Lines(string(note[split+2:])) {
		named, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "— ")
		name, encoded, spaced := strings.Cut(named, " ")
		sig, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if !ok || !spaced || err != nil || !validKeyName(name) || len(sig) < 5 {
			return nil, malformed
		}
		if name != k.Name || binary.BigEndian.Uint32(sig) != k.id() {
			continue
		}
		if !ed25519.Verify(k.key, text, sig[4:]) {
			return nil, fmt.Errorf("the signature of %s is wrong", k.Name)
		}
		signed = true
	}
	if !signed {
		return nil, fmt.Errorf("it is not signed with the key %s (%s)", k.Name, k.ID())
	}
	return text, nil
}

// notInNote are characters that a note may not have.
func notInNote(r rune) bool { return r < ' ' && r != '\n' || r == '\ufffd' }
