// What could keep something of a session beyond DISCARD ALL, and hence who may have a backend after it.
package pool

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// residue is what could keep something of a session: why nobody may have the backend after it, and why only the same
// person may. "" means there is nothing.
type residue struct {
	never    string
	personal string
}

// add keeps the reasons known so far: what could have been left once may be there for as long as the backend.
func (k residue) add(more residue) residue {
	if k.never == "" {
		k.never = more.never
	}
	if k.personal == "" {
		k.personal = more.personal
	}
	return k
}

// residueSQL asks the catalogs. The first %s is the list of functions that can be granted, the second the extensions known to
// keep nothing, each as the inside of an array.
//
// Never: whoever may act as a superuser can LOAD libraries that change what the backend does. Temporary replication slots, a
// replication origin and a base backup belong to a session and outlive DISCARD ALL; the last two need a function that can
// be granted (see keeping). A login event trigger (PostgreSQL 17) is to run at each login, so each login needs a new backend. A
// template is there to be copied, which an idle backend in it would prevent.
//
// Personal: functions in C may keep what they like for as long as the process lives. dblink and foreign data wrappers keep
// connections, languages keep global variables, isn (until 17) keeps a mode. So do others nobody here has heard of: what is
// not known to keep nothing counts. A language or wrapper that can do anything has its handler in C. PostgreSQL's own
// objects have smaller numbers. Whoever may CREATE in the database may install trusted extensions, isn and languages among them,
// and drop them again: what they keep stays in the process, and no catalog tells.
const residueSQL = `pg_catalog.pg_current_snapshot(),
	pg_catalog.encode(pg_catalog.convert_to(COALESCE(
		(SELECT 'its account can leave things behind, as ' OPERATOR(pg_catalog.||) r.rolname::pg_catalog.text
			FROM pg_catalog.pg_roles r
			WHERE pg_catalog.pg_has_role(r.oid, 'MEMBER')
			AND (r.rolsuper OR r.rolreplication OR EXISTS (
				SELECT FROM pg_catalog.pg_proc f
				WHERE f.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
				AND f.proname OPERATOR(pg_catalog.=) ANY (
					'{%s}'::pg_catalog.name[])
				AND pg_catalog.has_function_privilege(r.oid, f.oid, 'EXECUTE')))
			LIMIT 1),
		(SELECT 'its database has a login event trigger'::pg_catalog.text
			FROM pg_catalog.pg_event_trigger
			WHERE evtevent OPERATOR(pg_catalog.=) 'login' AND evtenabled OPERATOR(pg_catalog.<>) 'D'
			LIMIT 1),
		(SELECT 'its database is a template'::pg_catalog.text
			FROM pg_catalog.pg_database
			WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database() AND datistemplate),
		''), 'UTF8'), 'hex'),
	pg_catalog.encode(pg_catalog.convert_to(COALESCE(
		(SELECT COALESCE(
				(SELECT 'its database has the extension ' OPERATOR(pg_catalog.||) e.extname::pg_catalog.text
					FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
					WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
					AND d.objid OPERATOR(pg_catalog.=) f.oid
					AND d.deptype OPERATOR(pg_catalog.=) 'e'),
				'its database has the C function ' OPERATOR(pg_catalog.||) f.proname::pg_catalog.text)
			FROM pg_catalog.pg_proc f
			WHERE f.oid OPERATOR(pg_catalog.>=) '16384'::pg_catalog.oid
			AND f.prolang OPERATOR(pg_catalog.=) (
				SELECT oid FROM pg_catalog.pg_language WHERE lanname OPERATOR(pg_catalog.=) 'c')
			AND NOT f.oid OPERATOR(pg_catalog.=) ANY (
				SELECT d.objid
				FROM pg_catalog.pg_depend d
				WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
				AND d.deptype OPERATOR(pg_catalog.=) 'e'
				AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
				AND d.refobjid OPERATOR(pg_catalog.=) ANY (ARRAY(
					SELECT oid
					FROM pg_catalog.pg_extension
					WHERE extname OPERATOR(pg_catalog.=) ANY ('{%s}'::pg_catalog.name[]))))
			LIMIT 1),
		(SELECT 'its account can make and drop extensions, as ' OPERATOR(pg_catalog.||) r.rolname::pg_catalog.text
			FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
			WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
			AND pg_catalog.pg_has_role(r.oid, 'MEMBER')
			AND pg_catalog.has_database_privilege(r.oid, d.oid, 'CREATE')
			LIMIT 1),
		''), 'UTF8'), 'hex')`

// residueColumns is how many columns these are.
const residueColumns = 3

// keeping are the functions by which a session keeps something beyond DISCARD ALL. pg_start_backup (until 14) begins a backup
// of the whole server or of the session, as the caller likes. Until 13 everybody may call pg_replication_origin_session_setup,
// which then lets superusers alone do anything (src/backend/replication/logical/origin.c, replorigin_check_prerequisites).
func (b *backend) keeping() string {
	names := "pg_backup_start,pg_start_backup"
	if b.observer.majorVersion() != 13 {
		names += ",pg_replication_origin_session_setup"
	}
	return names
}

// residueQuestion is the question, for extensions known to keep nothing.
func (b *backend) residueQuestion(stateless []string) question {
	return selecting(residueColumns, fmt.Sprintf(residueSQL, b.keeping(), strings.Join(stateless, ",")))
}

// noteKeepers adds an answer to what is known of the backend.
func (b *backend) noteKeepers(row [][]byte) error {
	never, err := hex.DecodeString(string(row[1]))
	if err != nil {
		return fmt.Errorf("reading what the database has: %w", err)
	}
	personal, err := hex.DecodeString(string(row[2]))
	if err != nil {
		return fmt.Errorf("reading what the database has: %w", err)
	}
	b.catalogs = string(row[0])
	b.residue = b.residue.add(residue{never: string(never), personal: string(personal)})
	return nil
}

// recheck asks the catalogs again if they may have changed since: the session may have installed something. now is the
// backend's state after the session. The question is dearer than the whole reset, and equal snapshots have equal answers.
func (b *backend) recheck(ctx context.Context, pg *pgconn.PgConn, now backendState, stateless []string) error {
	b.residue = b.residue.add(now.residue)
	if now.snapshot == b.catalogs {
		return nil
	}
	rows, err := b.ask(ctx, pg, b.residueQuestion(stateless))
	if err != nil {
		return fmt.Errorf("asking what the database has: %w", err)
	}
	return b.noteKeepers(rows[0])
}
