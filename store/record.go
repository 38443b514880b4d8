// An event as the log gives it back.

package store

import (
	"encoding/hex"
	"encoding/json"
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
func (r Record) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Seq            int64           `json:"seq"`
		Time           *string         `json:"time"`
		Type           string          `json:"type"`
		Session        *string         `json:"session"`
		User           *string         `json:"user"`
		ServiceAccount *string         `json:"service_account"`
		Database       *string         `json:"database"`
		Client         *string         `json:"client"`
		Detail         json.RawMessage `json:"detail"`
		Hash           string          `json:"hash"`
	}{
		r.Seq, jsonTime(r.Time), r.Type, orNull(r.Session), orNull(r.User), orNull(r.ServiceAccount),
		orNull(r.Database), orNull(r.Client), r.Detail, hex.EncodeToString(r.Hash[:]),
	})
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
