// The tag: what a backend says about itself when it is new and after each session.
package pool

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// tag is a backend's answer about itself.
type tag struct {
	user     string // current_user
	snapshot string // what of the catalogs it sees: equal texts, equal catalogs
	timed    bool   // after a reset: statements have a time limit by default
	keepers  keepers
}

// tagSQL asks for the tag with functions alone, which costs a seventh of a millisecond. Every name is qualified, because
// search_path may be the client's; texts come as hex of UTF-8, because client_encoding may be the client's too.
//
// DISCARD ALL leaves two traces that can be asked for. Temporary objects are dropped, but their schema and buffers stay: for
// the next session pg_my_temp_schema() is not 0, and SET temp_buffers is an error. And a language keeps its globals while
// its library is loaded, also if the session created it and dropped it again; libraries show by their settings.
//
// Two more are removed here: setseed() survives, and who called it could foretell random(), so the seed is drawn anew, by
// the server, since the text of this statement can be read in pg_stat_activity.
//
// The first column tells whether a setting still has the value of %s.
const tagSQL = `COALESCE(pg_catalog.current_setting('gprxy.proof', true), '') OPERATOR(pg_catalog.=) '%s'::pg_catalog.text,
	pg_catalog.encode(pg_catalog.convert_to(current_user::pg_catalog.text, 'UTF8'), 'hex'),
	pg_catalog.pg_current_snapshot(),
	CASE WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) '0'::pg_catalog.oid
		THEN 'the session had temporary objects' ELSE '' END,
	CASE WHEN pg_catalog.current_setting('plperl.use_strict', true) IS NOT NULL
		OR pg_catalog.current_setting('pltcl.start_proc', true) IS NOT NULL
		THEN 'a language with global variables is loaded' ELSE '' END,
	pg_catalog.setseed(pg_catalog.uuid_hash_extended(pg_catalog.gen_random_uuid(), 0)::pg_catalog.float8
		OPERATOR(pg_catalog./) '9223372036854775808'::pg_catalog.float8),
	pg_catalog.current_setting('statement_timeout') OPERATOR(pg_catalog.<>) '0'::pg_catalog.text`

// tagColumns is how many columns these are.
const tagColumns = 7

// flushSQL is one more column for tagSQL: what the session did to which table stands in pg_stat_xact_user_tables until it
// is added to the statistics of all.
const (
	flushSQL   = `, pg_catalog.pg_stat_force_next_flush()`
	flushSince = 15
)

// tagQuestion is the question for this backend's version, after a setting of that value was to go.
func (b *backend) tagQuestion(mark string) question {
	n, columns := tagColumns, fmt.Sprintf(tagSQL, mark)
	if b.tap.majorVersion() >= flushSince {
		n, columns = n+1, columns+flushSQL
	}
	return selecting(n, columns)
}

// parseTag reads a row of tagSQL's columns, whose number was checked.
func parseTag(row [][]byte) (tag, error) {
	if string(row[0]) != "f" {
		return tag{}, errors.New("a setting of before the reset is still there")
	}
	user, err := hex.DecodeString(string(row[1]))
	if err != nil {
		return tag{}, fmt.Errorf("reading current_user: %w", err)
	}
	return tag{
		user:     string(user),
		snapshot: string(row[2]),
		timed:    string(row[6]) == "t",
		keepers:  keepers{never: string(row[3]), personal: string(row[4])},
	}, nil
}

// introduce asks a new backend for its tag and what sessions could leave in it.
func (b *backend) introduce(ctx context.Context, pg *pgconn.PgConn, stateless []string) error {
	rows, err := b.ask(ctx, pg, untimed(b.tagQuestion(unforeseeable()), b.keepersQuestion(stateless))...)
	if err != nil {
		return fmt.Errorf("asking the new backend who it is: %w", err)
	}
	if b.tag, err = parseTag(rows[0]); err != nil {
		return err
	}
	return b.noteKeepers(rows[1])
}
