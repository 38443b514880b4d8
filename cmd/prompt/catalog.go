// What the catalog knows: \l, \dn, \du, \df, \dt, \d.

package prompt

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// The kinds of relations, as pg_class.relkind has them.
const (
	tableKinds = "rp"
	everyKind  = "rpvmSf"
)

// ask runs a query of ours. A failure is shown.
func (p *prompt) ask(ctx context.Context, sql string, parameters ...string) ([][]string, error) {
	values := make([][]byte, len(parameters))
	for i, v := range parameters {
		values[i] = []byte(v)
	}
	read := p.conn.ExecParams(ctx, sql, values, nil, nil, nil).Read()
	if refused, ok := errors.AsType[*pgconn.PgError](read.Err); ok {
		p.fail(refused, "")
		return nil, errFailed
	}
	if read.Err != nil {
		return nil, read.Err
	}
	rows := make([][]string, len(read.Rows))
	for i, row := range read.Rows {
		for _, v := range row {
			rows[i] = append(rows[i], string(v))
		}
	}
	return rows, nil
}

// show prints rows as a table, with a footer instead of their number unless it is nil.
func (p *prompt) show(title string, footer *string, names []string, rows [][]string) error {
	return p.paged(func(out *bufio.Writer) error {
		r := &result{out: out, expanded: p.expanded, title: title, footer: footer}
		for _, n := range names {
			r.column(n, false)
		}
		for _, row := range rows {
			values := make([][]byte, len(row))
			for i, v := range row {
				values[i] = []byte(v)
			}
			if err := r.add(values); err != nil {
				return err
			}
		}
		return r.end()
	})
}

func (p *prompt) listDatabases(ctx context.Context, pattern namePattern) error {
	rows, err := p.ask(ctx, `
		SELECT d.datname,
		       pg_catalog.pg_get_userbyid(d.datdba),
		       pg_catalog.pg_encoding_to_char(d.encoding),
		       d.datcollate,
		       d.datctype,
		       coalesce(pg_catalog.array_to_string(d.datacl, E'\n'), '')
		FROM pg_catalog.pg_database d
		WHERE $1::text = '' OR d.datname OPERATOR(pg_catalog.~) $1::text
		ORDER BY 1`, pattern.name)
	if err != nil {
		return err
	}
	return p.show("List of databases", nil, []string{"Name", "Owner", "Encoding", "Collate", "Ctype", "Access privileges"}, rows)
}

func (p *prompt) listSchemas(ctx context.Context, pattern namePattern) error {
	rows, err := p.ask(ctx, `
		SELECT n.nspname,
		       pg_catalog.pg_get_userbyid(n.nspowner)
		FROM pg_catalog.pg_namespace n
		WHERE CASE WHEN $1::text = '' THEN n.nspname OPERATOR(pg_catalog.!~) '^pg_' AND n.nspname <> 'information_schema'
		           ELSE n.nspname OPERATOR(pg_catalog.~) $1::text END
		ORDER BY 1`, pattern.name)
	if err != nil {
		return err
	}
	return p.show("List of schemas", nil, []string{"Name", "Owner"}, rows)
}

func (p *prompt) listRoles(ctx context.Context, pattern namePattern) error {
	rows, err := p.ask(ctx, `
		SELECT r.rolname,
		       pg_catalog.concat_ws(', ',
		           CASE WHEN r.rolsuper THEN 'Superuser' END,
		           CASE WHEN NOT r.rolinherit THEN 'No inheritance' END,
		           CASE WHEN r.rolcreaterole THEN 'Create role' END,
		           CASE WHEN r.rolcreatedb THEN 'Create DB' END,
		           CASE WHEN NOT r.rolcanlogin THEN 'Cannot login' END,
		           CASE WHEN r.rolreplication THEN 'Replication' END,
		           CASE WHEN r.rolbypassrls THEN 'Bypass RLS' END)
		       || CASE r.rolconnlimit WHEN -1 THEN '' WHEN 0 THEN E'\nNo connections' WHEN 1 THEN E'\n1 connection'
		               ELSE E'\n' || r.rolconnlimit || ' connections' END
		       || coalesce(E'\nPassword valid until ' || r.rolvaliduntil::text, ''),
		       ARRAY(SELECT b.rolname
		             FROM pg_catalog.pg_auth_members m
		             JOIN pg_catalog.pg_roles b ON m.roleid = b.oid
		             WHERE m.member = r.oid
		             ORDER BY 1)::text
		FROM pg_catalog.pg_roles r
		WHERE CASE WHEN $1::text = '' THEN r.rolname OPERATOR(pg_catalog.!~) '^pg_' ELSE r.rolname OPERATOR(pg_catalog.~) $1::text END
		ORDER BY 1`, pattern.name)
	if err != nil {
		return err
	}
	return p.show("List of roles", new(string), []string{"Role name", "Attributes", "Member of"}, rows)
}

func (p *prompt) listFunctions(ctx context.Context, pattern namePattern) error {
	rows, err := p.ask(ctx, `
		SELECT n.nspname,
		       f.proname,
		       coalesce(pg_catalog.pg_get_function_result(f.oid), ''),
		       pg_catalog.pg_get_function_arguments(f.oid),
		       CASE f.prokind WHEN 'a' THEN 'agg' WHEN 'w' THEN 'window' WHEN 'p' THEN 'proc' ELSE 'func' END
		FROM pg_catalog.pg_proc f
		JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
		WHERE ($1::text = '' OR n.nspname OPERATOR(pg_catalog.~) $1::text)
		  AND ($2::text = '' OR f.proname OPERATOR(pg_catalog.~) $2::text)
		  AND ($1::text <> '' OR pg_catalog.pg_function_is_visible(f.oid))
		  AND ($1::text || $2::text <> '' OR n.nspname NOT IN ('pg_catalog', 'information_schema'))
		ORDER BY 1, 2, 4`, pattern.schema, pattern.name)
	if err != nil {
		return err
	}
	return p.show("List of functions", nil, []string{"Schema", "Name", "Result data type", "Argument data types", "Type"}, rows)
}

func (p *prompt) listTables(ctx context.Context, pattern namePattern) error {
	return p.listRelations(ctx, tableKinds, pattern)
}

func (p *prompt) listRelations(ctx context.Context, kinds string, pattern namePattern) error {
	rows, err := p.ask(ctx, `
		SELECT n.nspname,
		       c.relname,
		       CASE c.relkind
		            WHEN 'r' THEN 'table'
		            WHEN 'p' THEN 'partitioned table'
		            WHEN 'v' THEN 'view'
		            WHEN 'm' THEN 'materialized view'
		            WHEN 'S' THEN 'sequence'
		            ELSE 'foreign table'
		       END,
		       pg_catalog.pg_get_userbyid(c.relowner)
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE pg_catalog.strpos($1::text, c.relkind::text) > 0
		  AND ($2::text = '' OR n.nspname OPERATOR(pg_catalog.~) $2::text)
		  AND ($3::text = '' OR c.relname OPERATOR(pg_catalog.~) $3::text)
		  AND ($2::text <> '' OR pg_catalog.pg_table_is_visible(c.oid))
		  AND ($2::text || $3::text <> '' OR n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%')
		ORDER BY 1, 2`, kinds, pattern.schema, pattern.name)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		if pattern.text == "" {
			fmt.Fprintln(p.Err, "There are no relations here that you may see.")
			return nil
		}
		return p.refuse(fmt.Sprintf("there is no relation named %q", pattern.text))
	}
	return p.show("List of relations", nil, []string{"Schema", "Name", "Type", "Owner"}, rows)
}
