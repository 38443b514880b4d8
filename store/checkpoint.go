// Checkpoints: the head of the chain, signed, to be kept where the proxy's machine cannot write.
// Their form is that of transparency logs, https://c2sp.org/tlog-checkpoint, with the chain's hash
// as root.

package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Checkpoint is the head of a log: its first Seq events end with Hash.
type Checkpoint struct {
	Origin string // names the log
	Seq    int64
	Hash   [32]byte
	Time   time.Time // when it was signed, to the microsecond; zero in those of gprxy versions that did not tell
}

// KeyPath is where the key stands that signs the checkpoints of the log at path.
func KeyPath(path string) string { return path + ".key" }

// EnsureKey gives the key of the log at path. The first call makes it, readable by its owner alone; made
// says so. Only the process that holds the log may call it.
func EnsureKey(path string) (key *SignerKey, made bool, err error) {
	file := KeyPath(path)
	key, err = readKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	if key, err = newSignerKey(keyName); err != nil {
		return nil, false, fmt.Errorf("make the key of the checkpoints: %w", err)
	}
	if err := replaceFile(file, []byte(key.encode()+"\n"), 0o600); err != nil {
		return nil, false, fmt.Errorf("keep the key of the checkpoints: %w", err)
	}
	return key, true, nil
}

// keyName names a key, and with it the log whose checkpoints it signs.
func keyName(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return "gprxy/" + hex.EncodeToString(sum[:8])
}

// PublicKey gives the public half of the key of the log at path.
func PublicKey(path string) (VerifierKey, error) {
	key, err := readKey(KeyPath(path))
	if err != nil {
		return VerifierKey{}, err
	}
	return key.VerifierKey, nil
}

func readKey(file string) (*SignerKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the key of the checkpoints: %w", err)
	}
	key, err := parseSignerKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("read the key of the checkpoints %s: %w", file, err)
	}
	return key, nil
}

// replaceFile puts a file in the place of another, whole and on disk, or leaves the other as it is.
func replaceFile(path string, content []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	if runtime.GOOS == "windows" { // where folders cannot be synced
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// timeLine begins the line of a checkpoint that has its time. The form has room for lines behind the hash; who
// does not know them passes over them.
const timeLine = "time "

// Checkpoint gives the durable head of the log. Its time is that of the proxy's clock: what stands up to the
// head was written before it, all else after it.
func (d *DB) Checkpoint(ctx context.Context, key *SignerKey) (c Checkpoint, err error) {
	err = d.do(ctx, func(ctx context.Context, a *appender) error {
		h, err := a.head(ctx)
		c = Checkpoint{Origin: key.Name, Seq: h.seq, Hash: h.hash, Time: micro(d.opts.now())}
		return err
	})
	return c, err
}

// Sign gives the checkpoint as a signed note.
func (c Checkpoint) Sign(key *SignerKey) []byte {
	text := fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Seq, base64.StdEncoding.EncodeToString(c.Hash[:]))
	if !c.Time.IsZero() {
		text += timeLine + c.Time.UTC().Format(TimeFormat) + "\n"
	}
	return signNote([]byte(text), key)
}

// Save puts the signed note in the place of the one before.
func (c Checkpoint) Save(path string, key *SignerKey) error {
	if err := replaceFile(path, c.Sign(key), 0o644); err != nil {
		return fmt.Errorf("save the checkpoint: %w", err)
	}
	return nil
}

// OpenCheckpoint reads a note that the key has signed. A note in one line, with \n for its line breaks as
// log lines have it, is read as well.
func OpenCheckpoint(note []byte, key VerifierKey) (c Checkpoint, err error) {
	if !bytes.Contains(note, []byte("\n\n")) {
		note = bytes.ReplaceAll(bytes.TrimSpace(note), []byte(`\n`), []byte("\n"))
	}
	text, err := openNote(note, key)
	if err != nil {
		return c, fmt.Errorf("read the checkpoint: %w", err)
	}
	lines := strings.SplitN(string(text), "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return c, errors.New("read the checkpoint: it has fewer than three lines")
	}
	c.Origin = lines[0]
	c.Seq, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(c.Seq, 10) != lines[1] || c.Seq < 0 {
		return c, errors.New("read the checkpoint: its second line is not a size")
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(sum) != len(c.Hash) {
		return c, errors.New("read the checkpoint: its third line is not a hash")
	}
	copy(c.Hash[:], sum)
	if c.Time, err = signedAt(lines[3]); err != nil {
		return c, err
	}
	return c, nil
}

// signedAt reads the time from the lines behind the hash; zero if they have none.
func signedAt(lines string) (t time.Time, err error) {
	first, _, _ := strings.Cut(lines, "\n")
	text, found := strings.CutPrefix(first, timeLine)
	if !found {
		return t, nil
	}
	t, err = time.Parse(TimeFormat, text)
	if err != nil || t.Format(TimeFormat) != text {
		return time.Time{}, errors.New("read the checkpoint: its fourth line is not a time")
	}
	return t, nil
}
