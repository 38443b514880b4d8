// The state: what a backend says about itself when it is new and after each session.
package pool

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// backendState is a backend's answer about itself.
type backendState struct {
	user     string // current_user
	snapshot string // what of the catalogs it sees: equal texts, equal catalogs
	timed    bool   // after a reset: statements have a time limit by default
	residue  residue
}

// stateSQL asks for the state with functions alone, which costs a seventh of a millisecond. Every name is qualified, because
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
const stateSQL = `COALESCE(pg_catalog.current_setting('gprxy.proof', true), '') OPERATOR(pg_catalog.=) '%s'::pg_catalog.text,
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

// flushSQL is one more column for stateSQL: what the session did to which table stands in pg_stat_xact_user_tables until it
// is added to the statistics of all.
const (
	flushSQL   = `, pg_catalog.pg_stat_force_next_flush()`
	flushSince = 15
)

// tagQuestion is the question for this backend's version, after a setting of that value was to go.
func (b *backend) tagQuestion(mark string) question {
	n, columns := tagColumns, fmt.Sprintf(stateSQL, mark)
	if b.observer.majorVersion() >= flushSince {
		n, columns = n+1, columns+flushSQL
	}
	return selecting(n, columns)
}

// parseState reads a row of stateSQL's columns, whose number was checked.
func parseState(row [][]byte) (backendState, error) {
	if string(row[0]) != "f" {
		return backendState{}, errors.New("a setting of before the reset is still there")
	}
	user, err := hex.DecodeString(string(row[1]))
	if err != nil {
		return backendState{}, fmt.Errorf("reading current_user: %w", err)
	}
	return backendState{
		user:     string(user),
		snapshot: string(row[2]),
		timed:    string(row[6]) == "t",
		residue:  residue{never: string(row[3]), personal: string(row[4])},
	}, nil
}

// introduce asks a new backend for its state and what sessions could leave in it.
func (b *backend) introduce(ctx context.Context, pg *pgconn.PgConn, stateless []string) error {
	rows, err := b.ask(ctx, pg, untimed(b.tagQuestion(unforeseeable()), b.residueQuestion(stateless))...)
	if err != nil {
		return fmt.Errorf("asking the new backend who it is: %w", err)
	}
	if b.state, err = parseState(rows[0]); err != nil {
		return err
	}
	return b.noteKeepers(rows[1])
}
