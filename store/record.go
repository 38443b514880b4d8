// An event as the log gives it back.

package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Record is an event as it stands in the log, or one statement of a statement.executed. The zero value
// of a field means absent. User, ServiceAccount and Database are those of its session, as known by now.
type Record struct {
	Seq            int64
	Time           time.Time
	Type           string
	Session        string
	User           string
	ServiceAccount string
	Database       string
	Client         string          // of its session, or of the fact itself when it has none
	Detail         json.RawMessage // the fact; of a statement, a Statement with its text in place
	Hash           [32]byte        // of the event; the statements of one event share it
}

// MarshalJSON gives the object of `gprxy audit --json`: absent values are null.
func (r Record) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil) }

// AppendJSON appends what MarshalJSON gives: an export writes millions of them. It is an error if the
// stored fact is no JSON, which somebody has put there.
func (r Record) AppendJSON(b []byte) ([]byte, error) {
	b = strconv.AppendInt(append(b, `{"seq":`...), r.Seq, 10)
	if b = append(b, `,"time":`...); r.Time.IsZero() {
		b = append(b, "null"...)
	} else {
		b = append(r.Time.UTC().AppendFormat(append(b, '"'), TimeFormat), '"')
	}
	b = appendString(append(b, `,"type":`...), r.Type)
	for _, field := range [...]struct{ key, value string }{
		{`,"session":`, r.Session}, {`,"user":`, r.User}, {`,"service_account":`, r.ServiceAccount}, {`,"database":`, r.Database},
		{`,"client":`, r.Client},
	} {
		if b = append(b, field.key...); field.value == "" {
			b = append(b, "null"...)
		} else {
			b = appendString(b, field.value)
		}
	}
	switch b = append(b, `,"detail":`...); {
	case len(r.Detail) == 0:
		b = append(b, "null"...)
	case !json.Valid(r.Detail):
		return nil, fmt.Errorf("event %d: %w", r.Seq, errJSON)
	default:
		b = append(b, r.Detail...)
	}
	return append(hex.AppendEncode(append(b, `,"hash":"`...), r.Hash[:]), '"', '}'), nil
}

const recordColumns = `
	e.seq,
	e.time,
	e.type,
	e.session,
	s.user,
	s.service_account,
	s.database,
	coalesce(s.client, json_extract(e.body, '$.client')),
	e.body,
	e.hash,
	e.count`

func scanRow(scan func(...any) error) (storedRow, error) {
	var (
		row  storedRow
		us   int64
		body []byte
		sum  []byte
	)
	err := scan(&row.Seq, &us, &row.Type, &row.Session, nullable{&row.User}, nullable{&row.ServiceAccount},
		nullable{&row.Database}, nullable{&row.Client}, &body, &sum, &row.count)
	row.Time, row.Detail = fromMicro(us), body
	copy(row.Hash[:], sum)
	return row, err
}
