// What gprxy itself asks of a backend, by the whole of its text.
package main

import (
	"regexp"
	"strings"
)

// own are the shapes of gprxy's statements. VALUE is a value that was drawn for the one question, HEX a text in hex; of the
// questions about the backend and its catalogs the beginning is known, and that it is one statement.
var own = regexp.MustCompile(`^(?:` + strings.NewReplacer(
	"VALUE", `'[0-9a-f]{32}'::pg_catalog\.text`,
	"ADMISSION", `EXISTS \(\s+SELECT FROM pg_catalog\.pg_roles r, pg_catalog\.pg_database d\s[^;]*\)`,
	"HEX", `pg_catalog\.convert_from\(pg_catalog\.decode\('[0-9a-f]*'::pg_catalog\.text, 'hex'\), 'UTF8'\)`,
).Replace(strings.Join([]string{
	`DISCARD ALL`,
	`ROLLBACK`,
	`SET statement_timeout TO 0; SET default_transaction_isolation TO 'read committed'; SET gprxy\.proof TO '[0-9a-f]{32}'; SHOW gprxy\.proof`,
	`BEGIN ISOLATION LEVEL READ COMMITTED`,
	`SET LOCAL statement_timeout TO 0`,
	`SET statement_timeout TO 0`,
	`RESET statement_timeout`,
	`COMMIT`,
	`SELECT VALUE(?:, pg_catalog\.set_config\(HEX, HEX, false\) IS NULL)+`,
	`SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT VALUE(?:, pg_catalog\.set_config\(HEX, HEX, false\) IS NULL)*(?:, ADMISSION)?`,
	`SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT VALUE, COALESCE\(pg_catalog\.current_setting\('gprxy[^;]*`,
	`SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT VALUE, pg_catalog\.pg_current_snapshot\(\),\s[^;]*`,
}, "|")) + `)$`)

// isOwn tells whether gprxy sends this text. Clients of the play send none without a mark.
func isOwn(text string) bool { return own.MatchString(text) }
