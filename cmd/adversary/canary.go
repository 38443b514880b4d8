// The canary: what a session finds on its backend before it has done anything. Every actor asks, and the victim asks last.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// canarySQL takes stock: who one is, what there is of settings, statements, cursors, locks, channels and temporary objects,
// and whether a table is the one that everybody knows.
const canarySQL = `select @ '%s', current_setting('gprxy.user', true), current_user, session_user,
	(select string_agg(name || '=' || coalesce(setting, 'null'), E'\n' order by name) from pg_settings
		where name not like 'gprxy.%%' and name not like 'plpgsql.%%'),
	(select count(*) from pg_prepared_statements), (select count(*) from pg_cursors),
	(select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'),
	(select count(*) from pg_listening_channels()), pg_my_temp_schema(), to_regclass('canary'),
	(select count(*) from items), (select relnamespace::regnamespace from pg_class where oid = 'items'::regclass)`

// The columns that are another's for each session.
const (
	canaryOwn    = 0
	canaryPerson = 1
)

var canaryColumns = []string{"its own answer", "gprxy.user", "current_user", "session_user", "settings", "prepared statements", "cursors",
	"advisory locks", "channels", "temporary schema", "a table canary", "rows of items", "schema of items"}

// askCanary sends a statement and insists on its answer and nothing else. It returns the row.
func (l *line) askCanary(sql string) ([]string, error) {
	before := len(l.messages())
	l.send(query(sql))
	got := l.until(loginLimit, func() bool { return len(l.all) > before && l.all[len(l.all)-1].kind == 'Z' })
	all := l.messages()[before:]
	var kinds strings.Builder
	for _, h := range all {
		kinds.WriteByte(h.kind)
	}
	if !got || kinds.String() != "TDCZ" || all[2].body != "SELECT 1\x00" || all[3].body != "I" {
		return nil, fmt.Errorf("the canary was answered with %v", all)
	}
	return rowOf(all[1].body), nil
}

func rowOf(body string) (row []string) {
	n := int(binary.BigEndian.Uint16([]byte(body)))
	body = body[2:]
	for range n {
		size := int32(binary.BigEndian.Uint32([]byte(body)))
		body = body[4:]
		if size < 0 {
			row = append(row, "null")
			continue
		}
		row, body = append(row, body[:size]), body[size:]
	}
	return row
}

// directCanary is what a new session has without gprxy.
func (l *lane) directCanary(ctx context.Context) ([]string, error) {
	direct, err := login(ctx, l.postgres.Addr(), account, accountSecret, l.database)
	if err != nil {
		return nil, err
	}
	defer direct.leave(leaveTerminate)
	return direct.askCanary(fmt.Sprintf(strings.ReplaceAll(canarySQL, "@", ""), "direct"))
}

// checkCanary takes stock as a person, and returns what is not as it should be.
func (l *lane) checkCanary(session *line, actor string) (wrong []string) {
	var bits [16]byte
	rand.Read(bits[:])
	own := fmt.Sprintf("%x", bits) // which holds no word that is taken for the name of a secret
	row, err := session.askCanary(fmt.Sprintf(mark(canarySQL, actor, 0), own))
	if err != nil {
		return []string{err.Error()}
	}
	want := slices.Clone(l.clean)
	want[canaryOwn], want[canaryPerson] = own, person(actor)
	for i, name := range canaryColumns {
		if row[i] != want[i] {
			wrong = append(wrong, fmt.Sprintf("%s: %s", name, differ(want[i], row[i])))
		}
	}
	return wrong
}

// differ shows the lines in which two texts differ.
func differ(want, got string) string {
	wanted, have := strings.Split(want, "\n"), strings.Split(got, "\n")
	if len(wanted) == 1 {
		return fmt.Sprintf("%q, want %q", got, want)
	}
	var all []string
	for _, line := range have {
		if !slices.Contains(wanted, line) {
			all = append(all, line)
		}
	}
	return strings.Join(all, ", ")
}

func person(actor string) string { return actor + "@example.com" }
