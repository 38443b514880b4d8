// The content table of statement texts, as the writer uses it: each text once.

package store

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	inlineText  = 1 << 10  // a text that is longer is kept once, even if it never comes again
	plainText   = 4 << 10  // a text that is longer is packed, if that makes it smaller
	knownTexts  = 16 << 20 // bytes of texts that the writer remembers
	entryBytes  = 100      // about what remembering a text costs besides it
	microsInDay = 24 * 60 * 60 * 1_000_000
)

const (
	findText   = `SELECT id, used FROM texts WHERE sha256 = ?`
	insertText = `INSERT INTO texts (sha256, bytes, used, text, packed) VALUES (?,?,?,?,?)`
	useText    = `UPDATE texts SET used = ? WHERE id = ?`
)

// boundText ties a row of texts into the chain: the event that has it vouches for the row's content.
// The first event of a day that names a text binds it anew, so that retention, which gives up whole
// days, never leaves a text that is in use without an event that vouches for it.
type boundText struct {
	id    int64
	sum   hash
	bytes int
}

func appendBound(b []byte, texts []boundText) []byte {
	if len(texts) == 0 {
		return b
	}
	b = append(b, `,"texts":[`...)
	for i, t := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"id":`...), t.id, 10)
		b = hex.AppendEncode(append(b, `,"sha256":"`...), t.sum[:])
		b = strconv.AppendInt(append(b, `","bytes":`...), int64(t.bytes), 10)
		b = append(b, '}')
	}
	return append(b, ']')
}

// namedText is a text that an event vouches for, as its body has it.
type namedText struct {
	ID     int64
	SHA256 string
}

// boundBy gives the texts that a body vouches for.
func boundBy(body string) (bound []namedText, err error) {
	const before = `,"texts":[` // stands in no string: its quotes would be escaped
	at := strings.LastIndex(body, before)
	if at < 0 {
		return nil, nil
	}
	err = json.Unmarshal([]byte(body[at+len(before)-1:len(body)-1]), &bound)
	return bound, err
}

// texts gives texts their rows. It belongs to one appender, and what it remembers holds only as long
// as its transactions are committed: forget after one that was not.
type texts struct {
	conn  *sql.Conn
	known cache[string, knownText]
	bound []boundText // by the event being written
	buf   []byte
}

// knownText is what is remembered of a text: id 0 says that it was seen once, and stored in place.
type knownText struct{ id, day int64 }

func newTexts(conn *sql.Conn) *texts {
	return &texts{conn: conn, known: cache[string, knownText]{limit: knownTexts}}
}

// body gives the event's body; that of statements is made here.
func (t *texts) body(ctx context.Context, e *encoded) (string, error) {
	if e.statements == nil {
		return e.body, nil
	}
	t.bound = t.bound[:0]
	for i := range e.statements {
		s := &e.statements[i]
		s.AtUS = s.Start.UnixMicro() - e.time
		if err := t.place(ctx, s, e.time/microsInDay); err != nil {
			return "", err
		}
	}
	if e.typ == (StatementStarted{}).Type() {
		t.buf = appendStarted(t.buf[:0], &e.statements[0], t.bound)
	} else {
		t.buf = appendBlock(t.buf[:0], e.statements, t.bound)
	}
	return string(t.buf), nil
}

func (t *texts) forget() { t.known.forget() }

// place decides where the statement's text is kept, and stores it if it has a row of its own.
func (t *texts) place(ctx context.Context, s *Statement, day int64) (err error) {
	s.TextID = 0
	if s.SQL == "" {
		return nil
	}
	size := len(s.SQL) + entryBytes
	known, again := t.known.get(s.SQL)
	switch {
	case known.id != 0 && known.day >= day:
		s.TextID = known.id
	case s.Parsed || again || len(s.SQL) > inlineText:
		if s.TextID, err = t.store(ctx, s.SQL, day); err != nil {
			return err
		}
		t.known.put(s.SQL, knownText{s.TextID, day}, size)
	default:
		t.known.put(s.SQL, knownText{}, size)
	}
	return nil
}

// store gives the id of the text's row, and binds the text unless that was done today.
func (t *texts) store(ctx context.Context, text string, day int64) (id int64, err error) {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	b := boundText{sum: sha256.Sum256([]byte(text)), bytes: len(text)}
	var used int64
	err = t.conn.QueryRowContext(ctx, findText, b.sum[:]).Scan(&b.id, &used)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		b.id, err = t.insert(ctx, text, b.sum, day)
	case err == nil && used >= day:
		return b.id, nil
	case err == nil:
		_, err = t.conn.ExecContext(ctx, useText, day, b.id)
	}
	if err != nil {
		return 0, fmt.Errorf("store the text of a statement: %w", err)
	}
	t.bound = append(t.bound, b)
	return b.id, nil
}

func (t *texts) insert(ctx context.Context, text string, sum hash, day int64) (int64, error) {
	whole := len(text)
	text, packed, err := pack(text)
	if err != nil {
		return 0, err
	}
	done, err := t.conn.ExecContext(ctx, insertText, sum[:], whole, day, text, packed)
	if err != nil {
		return 0, err
	}
	return done.LastInsertId()
}

// pack gives what the columns text and packed hold.
func pack(text string) (string, any, error) {
	if len(text) <= plainText {
		return text, nil, nil
	}
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	if err != nil {
		return "", nil, err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return "", nil, err
	}
	if err := w.Close(); err != nil {
		return "", nil, err
	}
	if b.Len()+plainText >= len(text) {
		return text, nil, nil
	}
	return beginning(text), b.Bytes(), nil
}

// beginning is what can be read of a text that is packed.
func beginning(text string) string { return strings.ToValidUTF8(text[:min(len(text), plainText)], "") }

// unpack gives the whole text, which is so long. A row is not believed beyond what a statement may have.
func unpack(text string, packed []byte, length int64) (string, error) {
	if packed == nil {
		return text, nil
	}
	if length > maxStatements {
		return "", errors.New("the row claims more than a statement may have")
	}
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	whole, err := io.ReadAll(io.LimitReader(r, length+1))
	if err == nil && int64(len(whole)) != length {
		err = errors.New("the text has another length than its row says")
	}
	return string(whole), err
}
