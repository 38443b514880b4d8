// Checkpoints: the head of the chain, signed, to be kept where the proxy's machine cannot write.
// Their form is that of transparency logs, https://c2sp.org/tlog-checkpoint, with the chain's hash
// as root.

package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Checkpoint is the head of a log: its first Seq events end with Hash.
type Checkpoint struct {
	Origin string // names the log
	Seq    int64
	Hash   [32]byte
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

// Checkpoint gives the durable head of the log.
func (d *DB) Checkpoint(ctx context.Context, key *SignerKey) (c Checkpoint, err error) {
	err = d.do(ctx, func(ctx context.Context, a *appender) error {
		h, err := a.head(ctx)
		c = Checkpoint{Origin: key.Name, Seq: h.seq, Hash: h.hash}
		return err
	})
	return c, err
}

// Sign gives the checkpoint as a signed note.
func (c Checkpoint) Sign(key *SignerKey) []byte {
	text := fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Seq, base64.StdEncoding.EncodeToString(c.Hash[:]))
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
	return c, nil
}

// Holds checks that the log, whose chain Verify has found intact, goes on from the checkpoint. It gives a
// *BrokenError if the end was cut off, an older copy was put back, or the past was written anew.
func (r *Reader) Holds(ctx context.Context, c Checkpoint) error {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	last, err := readHead(ctx, conn)
	if err != nil {
		return err
	}
	if last.seq < c.Seq {
		return &BrokenError{Seq: last.seq + 1, What: fmt.Sprintf("the log ends before this event, but a checkpoint says that there are %d: "+
			"its end was cut off, or an older copy stands in its place", c.Seq)}
	}
	held, err := holds(ctx, conn, c)
	if err != nil || held {
		return err
	}
	return &BrokenError{Seq: c.Seq, What: "a checkpoint has another hash for this event: it, or one before it, was written anew"}
}

func holds(ctx context.Context, conn *sql.Conn, c Checkpoint) (held bool, err error) {
	if c.Seq == 0 {
		return c.Hash == hash{}, nil
	}
	err = conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM events WHERE seq = ? AND hash = ?)`, c.Seq, c.Hash[:]).Scan(&held)
	if err != nil || held {
		return held, err
	}
	err = onRaw(ctx, conn, func(raw rawConn) error {
		runs, err := runsIn(raw, c.Seq-1, math.MaxInt64, 1)
		if err != nil || len(runs) == 0 || runs[0].first > c.Seq {
			return err
		}
		before, err := headBefore(raw, runs[0].first-1)
		held = err == nil && runs[0].has(before.hash, c.Hash)
		return err
	})
	return held, err
}
