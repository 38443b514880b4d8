// The tag: what a backend says about itself that decides who may use it next.
package pool

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// tagSQL asks for current_user and whether a session here can leave something behind that DISCARD ALL does not
// remove. Every name is qualified, because search_path may be the client's; the user name comes as hex of UTF-8,
// because client_encoding may be the client's too.
//
// A login trigger (PostgreSQL 17) may refuse a session or prepare it, so each session needs a login of its own.
//
// What survives: connections of dblink and of foreign data wrappers, globals of procedural languages, package state of
// extensions that offer session variables, and, for superusers, any library that was LOADed.
const tagSQL = `SELECT pg_catalog.encode(pg_catalog.convert_to(current_user::pg_catalog.text, 'UTF8'), 'hex'),
	EXISTS (SELECT FROM pg_catalog.pg_foreign_data_wrapper)
	OR EXISTS (SELECT FROM pg_catalog.pg_extension
		WHERE extname OPERATOR(pg_catalog.=) ANY ('{dblink,orafce,pg_variables,session_variable}'::pg_catalog.name[]))
	OR EXISTS (SELECT FROM pg_catalog.pg_language
		WHERE lanname OPERATOR(pg_catalog.<>) ALL ('{internal,c,sql,plpgsql}'::pg_catalog.name[]))
	OR pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on',
	EXISTS (SELECT FROM pg_catalog.pg_event_trigger
		WHERE evtevent OPERATOR(pg_catalog.=) 'login' AND evtenabled OPERATOR(pg_catalog.<>) 'D')`

// tag is the answer to tagSQL.
type tag struct {
	user     string // current_user
	personal bool   // only the same person may have the backend again
	single   bool   // nobody may
}

func parseTag(row [][]byte) (tag, error) {
	if len(row) != 3 {
		return tag{}, errors.New("PostgreSQL described the backend in an unexpected way")
	}
	user, err := hex.DecodeString(string(row[0]))
	if err != nil {
		return tag{}, fmt.Errorf("reading current_user: %w", err)
	}
	return tag{user: string(user), personal: string(row[1]) != "f", single: string(row[2]) != "f"}, nil
}
