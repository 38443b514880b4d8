// Rows as records: a block of statements gives one record for each of them.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// readTexts is how many bytes of statement texts a Reader remembers.
const readTexts = 16 << 20

// storedRow is a row of events, joined with its session.
type storedRow struct {
	Record
	count int64
}

// records gives what the row stands for, but not the first skip of a block.
func (r *Reader) records(ctx context.Context, row storedRow, skip int64, give func(Record) bool) error {
	switch row.Type {
	case StatementsExecuted{}.Type():
		return r.statements(ctx, row, skip, give)
	case StatementStarted{}.Type():
		detail, _, err := r.statement(ctx, row.Detail)
		if err != nil {
			return fmt.Errorf("event %d: %w", row.Seq, err)
		}
		row.Detail = detail
	}
	if !give(row.Record) {
		return errStopped
	}
	return nil
}

// statements gives the statements of a block.
func (r *Reader) statements(ctx context.Context, row storedRow, skip int64, give func(Record) bool) error {
	first, n := row.Seq-row.count+1, int64(0)
	err := eachMember(row.Detail, func(key, value []byte) error {
		if string(key) != "statements" {
			return nil
		}
		return eachElement(value, func(object []byte) error {
			if n++; n <= skip {
				return nil
			}
			detail, end, err := r.statement(ctx, object)
			if err != nil {
				return err
			}
			rec := row.Record
			rec.Seq, rec.Time, rec.Detail = first+n-1, row.Time.Add(end), detail
			if !give(rec) {
				return errStopped
			}
			return nil
		})
	})
	if err != nil && !errors.Is(err, errStopped) {
		return fmt.Errorf("event %d: %w", row.Seq, err)
	}
	return err
}

// statement gives the object of a statement with its text in place, and its end from the event's time on.
func (r *Reader) statement(ctx context.Context, object []byte) (detail []byte, end time.Duration, err error) {
	var id, at, us int64
	err = eachMember(object, func(key, value []byte) error {
		switch string(key) {
		case "text":
			return decodeInt(value, &id)
		case "at_us":
			return decodeInt(value, &at)
		case "us":
			return decodeInt(value, &us)
		}
		return nil
	})
	end = time.Duration(at+us) * time.Microsecond
	if err != nil || id == 0 {
		return object, end, err
	}
	text, err := r.text(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	detail = make([]byte, 0, len(object)+len(text)+len(`,"sql":`))
	detail = append(append(detail, object[:len(object)-1]...), `,"sql":`...)
	return append(append(detail, text...), '}'), end, nil
}

// text gives a text of the content table as a JSON string.
func (r *Reader) text(ctx context.Context, id int64) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text, ok := r.texts.get(id); ok {
		return text, nil
	}
	var (
		text   string
		packed []byte
		length int64
	)
	err := r.db.QueryRowContext(ctx, `SELECT text, packed, bytes FROM texts WHERE id = ?`, id).Scan(&text, &packed, &length)
	if errors.Is(err, sql.ErrNoRows) {
		return []byte("null"), nil // gone, as verify will say
	}
	if err == nil {
		text, err = unpack(text, packed, length)
	}
	if err != nil {
		return nil, fmt.Errorf("read the text %d of a statement: %w", id, err)
	}
	quoted := appendString(nil, text)
	r.texts.put(id, quoted, len(quoted)+entryBytes)
	return quoted, nil
}
