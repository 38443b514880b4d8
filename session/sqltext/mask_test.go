package sqltext

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var marks = regexp.MustCompile(`<masked \d+ bytes #[0-9a-f]{8}>`)

// masker is one with a fixed key.
func masker(added ...string) *Masker { return NewMasker(NewNames(added), []byte("key")) }

// short has *** for each mark.
func short(text string) string { return marks.ReplaceAllString(text, "***") }

// What is masked, and what is not: hunter2 and ter2 are the secret everywhere, and code is what has to stay.
func TestMask(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// Roles.
		{"ALTER ROLE a PASSWORD 'hunter2'", "ALTER ROLE a PASSWORD '***'"},
		{`set app."api_key" = "hunter2"`, `set app."api_key" = '***'`},
		{`alter role a set app.api_key to "hunter2"`, `alter role a set app.api_key to '***'`},
		{"create user a encrypted password\n/* x */ 'hunter2' valid until '2030-01-01'",
			"create user a encrypted password\n/* x */ '***' valid until '2030-01-01'"},
		{`alter role a password E'hunter2\'hunter2'`, `alter role a password E'***'`},
		{"alter role a password $$hunter2$$", "alter role a password $$***$$"},
		{"alter role a password U&'hunter2'", "alter role a password U&'***'"},
		{"alter role a password 'hunter2''hunter2'; select 'x'", "alter role a password '***'; select 'x'"},
		{"alter role a password 'hunter2", "alter role a password '***"},
		{"alter role a password E'hun'\n'ter2'", "alter role a password E'***'\n'***'"},
		{"alter role a password 'drop table hunter2'", "alter role a password '***'"},
		{"alter role a password null", "alter role a password null"},
		// Foreign servers, connections.
		{"create user mapping for u server s options (user 'u', password 'hunter2')",
			"create user mapping for u server s options (user 'u', password '***')"},
		{`alter server s options (set "password" 'hunter2', add sslpassword 'hunter2', host 'h')`,
			`alter server s options (set "password" '***', add sslpassword '***', host 'h')`},
		{"select dblink_connect('c', 'host=h password=hunter2 user=u')", "select dblink_connect('c', 'host=h password=*** user=u')"},
		{"select dblink_connect('postgresql://u:hunter2@h/d')", "select dblink_connect('postgresql://u:***@h/d')"},
		{"select dblink_connect('host=h password='\n'hunter2')", "select dblink_connect('host=h password='\n'***')"},
		{"select dblink_connect('host=h password=' || 'hunter2')", "select dblink_connect('host=h password=' || '***')"},
		{"create subscription s connection 'host=h password = ''hunter2''' publication p",
			"create subscription s connection 'host=h password = ''***''' publication p"},
		{"alter system set primary_conninfo = 'host=h password=hunter2'", "alter system set primary_conninfo = 'host=h password=***'"},
		{"copy t from program 'curl https://u:hunter2@h/x'", "copy t from program 'curl https://u:***@h/x'"},
		{"copy t from program 'password=hunter2 run'", "copy t from program 'password=*** run'"},
		{"copy t from program 'password=`echo${IFS}x>/tmp/f`;echo${IFS}668'", "copy t from program 'password=`echo${IFS}x>/tmp/f`;echo${IFS}668'"},
		{"copy t to program 'API_KEY=x&rm${IFS}y'", "copy t to program 'API_KEY=***&rm${IFS}y'"},
		{"copy t from program 'PGPASSWORD=''hunter2'' psql'", "copy t from program 'PGPASSWORD=''***'' psql'"},
		{"copy t from program 'PGPASSWORD=\"`id`\" psql'", "copy t from program 'PGPASSWORD=\"`id`\" psql'"},
		{"copy t to program 'token=1;select${IFS}y'", "copy t to program 'token=***;select${IFS}y'"},
		{"select http_get(h => http_header('Authorization', 'Bearer hunter2'))", "select http_get(h => http_header('Authorization', '***'))"},
		// Settings.
		{"set app.password = 'hunter2'", "set app.password = '***'"},
		{"set app.password to hunter2", "set app.password to '***'"},
		{"set vault.token.x to 'hunter2'", "set vault.token.x to '***'"},
		{"select set_config('app.password', 'hunter2', false)", "select set_config('app.password', '***', false)"},
		{"select set_config('app.password'::text, 'hunter2'::text, 'f'::bool)",
			"select set_config('app.password'::text, '***'::text, 'f'::bool)"},
		{"select set_config(setting_name => 'app.password', new_value => 'hunter2')",
			"select set_config(setting_name => 'app.password', new_value => '***')"},
		{"set password_encryption = 'md5'", "set password_encryption = 'md5'"},
		// Comparisons and assignments.
		{"select * from users where password = 'hunter2' and name = 'x'", "select * from users where password = '***' and name = 'x'"},
		{"select * from users where 'hunter2' = u.password and 'x' = name", "select * from users where '***' = u.password and 'x' = name"},
		{"select * from users where password = crypt('hunter2', password) and name = 'x'",
			"select * from users where password = crypt('***', password) and name = 'x'"},
		{"select * from users where password::text <> ( 'hunter2' ) and name = lower('x')",
			"select * from users where password::text <> ( '***' ) and name = lower('x')"},
		{"select * from users where password in ('hunter2', 'hunter2') or name in ('x')",
			"select * from users where password in ('***', '***') or name in ('x')"},
		{"select * from users where password between 'hunter2' and 'hunter2' and name = 'x'",
			"select * from users where password between '***' and '***' and name = 'x'"},
		{"select * from users where password is distinct from 'hunter2' limit '5'",
			"select * from users where password is distinct from '***' limit '5'"},
		{"select * from users where lower(password) = 'hunter2' and lower(name) = 'x'",
			"select * from users where lower(password) = '***' and lower(name) = 'x'"},
		{"update users set password = 'hunter2' || 'hunter2', name = 'y' where id = 'z'",
			"update users set password = '***' || '***', name = 'y' where id = 'z'"},
		{"update users set password = case when a then 'hunter2' else 'hunter2' end, name = 'y'",
			"update users set password = case when a then '***' else '***' end, name = 'y'"},
		{"update users set (name, password) = ('eve', 'hunter2') where id = 'z'",
			"update users set (name, password) = ('***', '***') where id = 'z'"},
		{"update users set (name, password) = (select 'eve', 'hunter2') where id = 'z'",
			"update users set (name, password) = (select '***', '***') where id = 'z'"},
		{"update users set pin_token = 12345678, n = 12345678", "update users set pin_token = '***', n = 12345678"},
		{"select data->>'password' = 'hunter2', 'x'", "select data->>'password' = '***', 'x'"},
		{"select jsonb_build_object('name', 'x', 'password', 'hunter2', 'a', 'b')",
			"select jsonb_build_object('name', 'x', 'password', '***', 'a', 'b')"},
		{"select jsonb_set(d, '{login,password}', '\"hunter2\"')", "select jsonb_set(d, '{login,password}', '***')"},
		{"select 'hunter2' as password, 'x' as name", "select '***' as password, 'x' as name"},
		{"select 'hunter2' token, 'x' name, 'hunter2' \"pass\"", "select '***' token, 'x' name, '***' \"pass\""},
		{"select 'hunter2'::text as token, 'hunter2'::pg_catalog.varchar(9) token, 'x'::text",
			"select '***'::text as token, '***'::pg_catalog.varchar(9) token, 'x'::text"},
		{"select 'hunter2'::character varying token, 'hunter2' collate \"C\" as token",
			"select '***'::character varying token, '***' collate \"C\" as token"},
		{"select ('hunter2') as token, (('hunter2' || 'hunter2')::text) token, ('x') as name",
			"select ('***') as token, (('***' || '***')::text) token, ('x') as name"},
		{"select f('x') as token, to_char(now(), 'YYYY') as token", "select f('x') as token, to_char(now(), 'YYYY') as token"},
		{"select * from users u where 'hunter2'::text = (u.password) and 'x' = (u.name)",
			"select * from users u where '***'::text = (u.password) and 'x' = (u.name)"},
		{"select * from users where (password) = 'hunter2' and (name) = 'x'", "select * from users where (password) = '***' and (name) = 'x'"},
		{"do $$ begin select 'hunter2' into password; select 'hunter2' into strict v_token from t; select 'x' into name; end $$",
			"do $$ begin select '***' into password; select '***' into strict v_token from t; select 'x' into name; end $$"},
		{"alter table t alter column password set default 'hunter2', alter column name set default 'x'",
			"alter table t alter column password set default '***', alter column name set default 'x'"},
		{"alter domain user_password set default 'hunter2'", "alter domain user_password set default '***'"},
		{"set app.password to 'a', 'hunter2'", "set app.password to '***', '***'"},
		{"alter role x in database d set app.password = 'a', 'hunter2'", "alter role x in database d set app.password = '***', '***'"},
		{"update t set password = 'hunter2', name = 'x'", "update t set password = '***', name = 'x'"},
		{"do 'declare password int := 123456; begin end'", "do 'declare password int := ***; begin end'"},
		{"do $$ declare password int := 123456; begin end $$", "do $$ declare password int := '***'; begin end $$"},
		{"create role a login valid until 'x' password 'hunter2'", "create role a login valid until 'x' password '***'"},
		{`select '{"password": "hunter2"}'::json`, `select '{"password": "***"}'::json`},
		{"create table users (name text default 'x', password text default 'hunter2', b text default 'y')",
			"create table users (name text default 'x', password text default '***', b text default 'y')"},
		{"with t(name, password) as (values ('eve', 'hunter2')) select 'x'", "with t(name, password) as (values ('***', '***')) select 'x'"},
		{"create table t (name, password) as select 'eve', 'hunter2'; select 'x'",
			"create table t (name, password) as select '***', '***'; select 'x'"},
		// INSERT, MERGE.
		{`insert into users (name, "password") values ('eve', 'hunter2'), ('bob', crypt('hunter2', 'hunter2')); select 'x'`,
			`insert into users (name, "password") values ('eve', '***'), ('bob', crypt('***', '***')); select 'x'`},
		{"insert into users as u (tags[1], password, a) values (array['a', 'b'], 'hunter2', 'x') on conflict (name) do update set name = 'y'",
			"insert into users as u (tags[1], password, a) values (array['a', 'b'], '***', 'x') on conflict (name) do update set name = 'y'"},
		{"insert into users (name, password) select 'eve', 'hunter2'", "insert into users (name, password) select '***', '***'"},
		{"insert into users (name, password) (select 'eve', 'hunter2') returning 'x'",
			"insert into users (name, password) (select '***', '***') returning 'x'"},
		{"insert into users (name, password) overriding user value select 'eve', 'hunter2' union all select 'a', 'hunter2'",
			"insert into users (name, password) overriding user value select '***', '***' union all select '***', '***'"},
		{"with i as (insert into users (name, password) values ('eve', 'hunter2') returning id) select 'x' from i",
			"with i as (insert into users (name, password) values ('eve', '***') returning id) select 'x' from i"},
		{"merge into users using s on true when not matched then insert (name, password) values ('eve', 'hunter2')",
			"merge into users using s on true when not matched then insert (name, password) values ('eve', '***')"},
		{"insert into tokens (name) values ('x')", "insert into tokens (name) values ('x')"},
		// Functions.
		{"select change_password('eve', 'hunter2'), 'x'", "select change_password('***', '***'), 'x'"},
		{"select * from auth.change_password('eve', new => 'hunter2') where a = 'x'",
			"select * from auth.change_password('***', new => '***') where a = 'x'"},
		{"select vault.create_secret('hunter2', 'hunter2'), 'x'", "select vault.create_secret('***', '***'), 'x'"},
		{"select pgp_sym_encrypt('hunter2', 'hunter2'), hmac('data', 'hunter2', 'sha256'), digest('x', 'md5')",
			"select pgp_sym_encrypt('***', '***'), hmac('data', '***', '***'), digest('x', 'md5')"},
		{"call login(name => 'eve', password => 'hunter2', n => 'x')", "call login(name => 'eve', password => '***', n => 'x')"},
		// Text that is put together, and bodies: code stays.
		{"select format('alter role x password %L', 'hunter2'); select 'x'", "select format('alter role x password %L', '***'); select 'x'"},
		{"do $$ begin execute format('alter role x password %L', 'hunter2'); perform 'x'; end $$",
			"do $$ begin execute format('alter role x password %L', '***'); perform 'x'; end $$"},
		{"do $$ begin execute 'alter role a password $1' using 'hunter2'; end $$",
			"do $$ begin execute 'alter role a password $1' using '***'; end $$"},
		{"do $$ begin execute 'alter role a password ''hunter2'''; end $$", "do $$ begin execute 'alter role a password ''***'''; end $$"},
		{"do $$ begin execute 'alter role a password ' || quote_literal('hunter2'); end $$",
			"do $$ begin execute 'alter role a password ' || quote_literal('***'); end $$"},
		{"do $$ begin execute 'alter role a password ' || '''hunter2''; delete from t'; end $$",
			"do $$ begin execute 'alter role a password ' || '''***''; delete from t'; end $$"},
		{"do $$ begin /* password = x */ delete from t; end $$", "do $$ begin /* password = ****/ delete from t; end $$"},
		{"do $$ begin -- password = 'x\ndelete from t; end $$", "do $$ begin -- password = ***\ndelete from t; end $$"},
		{"do $$ declare password text := 'hunter2'; begin delete from t where a = 'x'; end $$",
			"do $$ declare password text := '***'; begin delete from t where a = 'x'; end $$"},
		{"do $$ declare password text := 'delete from t'; begin execute password; end $$",
			"do $$ declare password text := 'delete from t'; begin execute password; end $$"},
		{"do $$ declare password text := 'x; delete from t'; begin execute password; end $$",
			"do $$ declare password text := 'x; delete from t'; begin execute password; end $$"},
		{"do ' begin update users set password = ''hunter2''; delete from t; end '",
			"do ' begin update users set password = ''***''; delete from t; end '"},
		{`do language plpgsql E' begin update users set password = \'hunter2\'; delete from t; end '`,
			`do language plpgsql E' begin update users set password = \'***\'; delete from t; end '`},
		{"create or replace function f(password text) returns int as $f$ begin update users set password = 'hunter2'; return change('x'); " +
			"end $f$ language plpgsql", "create or replace function f(password text) returns int as $f$ begin update users set password = " +
			"'***'; return change('x'); end $f$ language plpgsql"},
		{"create procedure set_password() language sql as 'update users set password = ''hunter2''; delete from t'",
			"create procedure set_password() language sql as 'update users set password = ''***''; delete from t'"},
		{`do $x$ $password = 'hunter2'; spi_exec_query("delete from t"); # 'it` + "\n" +
			`$password = 'a'; $h{'it\'s'} = 1; x('y'); $x$ language plperl`, `do $x$ $password = '***'; spi_exec_query("delete from t"); # 'it` +
			"\n" + `$password = '***'; $h{'it\'s'} = 1; x('y'); $x$ language plperl`},
		{"select dblink_exec('c', 'update users set password = ''hunter2''; delete from t')",
			"select dblink_exec('c', 'update users set password = ''***''; delete from t')"},
		{"select cron.schedule('n', '0 0 * * *', $$delete from t where token = 'hunter2'$$)",
			"select cron.schedule('n', '0 0 * * *', $$delete from t where token = '***'$$)"},
		{"do $$ begin execute s || ' password=1 ; delete from t'; end $$", "do $$ begin execute s || ' password=1 ; delete from t'; end $$"},
		{"do $$ begin execute s || '/* password=1 */ delete from t'; end $$",
			"do $$ begin execute s || '/* password=*** */ delete from t'; end $$"},
		{"select s || 'a, password=hunter2 delete from t'", "select s || 'a, password=*** delete from t'"},
		// Comments.
		{"-- alter role a password 'hunter2'\nselect 1", "-- alter role a password ***\nselect 1"},
		// What only looks like it.
		{"select token from f('x') where a > ('y')", "select token from f('x') where a > ('y')"},
		{"select 'a', password, 'b' from users", "select 'a', password, 'b' from users"},
		{"select 'https://example.org/a:b@c'", "select 'https://example.org/a:b@c'"},
		{"comment on column users.password is 'hashed'", "comment on column users.password is 'hashed'"},
		{"update users set password_changed_at = '2030-01-01' where tokens.id = 'x'",
			"update users set password_changed_at = '2030-01-01' where tokens.id = 'x'"},
		{"select bypass('x'), 'tokio'", "select bypass('x'), 'tokio'"},
		// PostgreSQL 13 lets a literal follow a number.
		{`select 1E'\'; delete from t; --', password, 'x'`, `select 1E'\'; delete from t; --', password, 'x'`},
		{`select password = 1$a$'$a$; delete from t; --y'`, `select password = 1$a$***$a$; delete from t; --y'`},
	} {
		got := masker().Mask(c.text, Options{})
		if short(got.Text) != c.want {
			t.Errorf("Mask(%q)\n got %q\nwant %q", c.text, short(got.Text), c.want)
		}
		if got.Hidden != (c.text != c.want) || got.TwoReadings {
			t.Errorf("Mask(%q): %+v", c.text, got)
		}
		// In pieces of any size it is the same.
		for _, size := range []int{61} {
			if again := inPieces(c.text, size); again != c.want {
				t.Errorf("Mask(%q) in pieces of %d\n got %q\nwant %q", c.text, size, again, c.want)
			}
		}
	}
}

// inPieces masks a text that comes in pieces.
func inPieces(text string, size int) string {
	m := masker()
	text += ";" + strings.Repeat(" ", 3*foresight) // so that it is not read at its end alone
	s := m.stream(Options{}, readings(text, Settings{}))
	s.out = &ends{most: -1}
	for at := 0; at < len(text); at += size {
		s.read(text[at:min(len(text), at+size)], false)
	}
	s.read("", true)
	return strings.TrimSuffix(strings.TrimRight(short(s.masked().Text), " "), ";")
}

// Each context that is documented is known.
func TestContexts(t *testing.T) {
	doc, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range contexts {
		if got := masker().Mask(c.example, Options{}); strings.Contains(got.Text, "SECRET") {
			t.Errorf("%s: %q", c.what, got.Text)
		}
		if !strings.Contains(string(doc), "| "+c.what+" | `"+c.example+"` |") {
			t.Errorf("docs/audit.md does not have:\n| %s | `%s` |", c.what, c.example)
		}
	}
	for name := range secretFunctions {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/audit.md does not name the function `%s`", name)
		}
	}
	for _, name := range slices.Concat(secretFragments, secretParts, plainEndings, secretSettings) {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/audit.md does not have the name `%s`", name)
		}
	}
}

// A parameter is secret where a literal would be.
func TestMaskParams(t *testing.T) {
	for _, c := range []struct {
		text   string
		secret []int
		plain  []int
	}{
		{"update users set password = $1, name = $2", []int{1}, []int{2}},
		{"select set_config('app.password', $2, $1)", []int{2}, []int{1}},
		{"update users set password = crypt($1, gen_salt('bf')) where id = $70", []int{1}, []int{70}},
		{"insert into users (name, password) values ($1, $2), ($3, $4)", []int{2, 4}, []int{1, 3}},
		{"insert into users (name, password) select $1, $2", []int{1, 2}, nil},
		{"update users set (name, password) = ($1, $2) where id = $3", []int{1, 2}, []int{3}},
		{"select change_password($1, $2), $3", []int{1, 2}, []int{3}},
		{"select dblink_connect('host=h password=' || $1), $2", []int{1}, []int{2}},
		{"select format('alter role a password %L', $1)", []int{1}, nil},
		{"select * from users where $1 = password and name = $2", []int{1}, []int{2}},
		{"select $1", nil, []int{1}},
		{"select password, $99999999999999999999", nil, nil},
	} {
		got := masker().Mask(c.text, Options{})
		for _, n := range c.secret {
			if !got.Params.Has(n) {
				t.Errorf("Mask(%q): $%d is not secret", c.text, n)
			}
		}
		for _, n := range c.plain {
			if got.Params.Has(n) {
				t.Errorf("Mask(%q): $%d is secret", c.text, n)
			}
		}
	}
}

// Of EXECUTE, only what goes to a secret parameter is masked.
func TestMaskExecute(t *testing.T) {
	known := func(name string) (Params, bool) {
		return map[string]Params{"s": Params(nil).with(2), "plain": nil}[name], name == "s" || name == "plain"
	}
	for _, c := range []struct{ text, want string }{
		{"execute s('a', 'hunter2'); select 'x'", "execute s('a', '***'); select 'x'"},
		{`execute "s" ('a', 'hunter2')`, `execute "s" ('a', '***')`},
		{"explain (analyze, costs off, verbose) execute s('a', 'hunter2')", "explain (analyze, costs off, verbose) execute s('a', '***')"},
		{"create table t as execute s('a', 'hunter2')", "create table t as execute s('a', '***')"},
		{"execute plain('a', 'b')", "execute plain('a', 'b')"},
		{"execute other('hunter2'); delete from t where a = 'x'", "execute other('***'); delete from t where a = 'x'"},
		{"prepare p(text) as update users set password = $1; execute p('hunter2'); select 'x'",
			"prepare p(text) as update users set password = $1; execute p('***'); select 'x'"},
		{"do $$ begin execute other('a'); delete from t where a = 'x'; end $$",
			"do $$ begin execute other('a'); delete from t where a = 'x'; end $$"},
		{"create trigger x after insert on t execute function other('a')", "create trigger x after insert on t execute function other('a')"},
	} {
		got := masker().Mask(c.text, Options{Executes: known})
		if short(got.Text) != c.want {
			t.Errorf("Mask(%q)\n got %q\nwant %q", c.text, short(got.Text), c.want)
		}
	}
	const both = "prepare p(text) as update users set password = $1; execute p('hunter2')"
	if got := masker().Mask(both, Options{}).Text; strings.Contains(got, "hunter2") {
		t.Errorf("Mask(%q): got %q", both, got)
	}
	got := masker().Mask("prepare P as update users set password = $2; prepare q as select 1, 'token'", Options{})
	if len(got.Prepared) != 2 || got.Prepared[0].Name != "p" || !got.Prepared[0].Params.Has(2) || got.Prepared[1].Name != "q" ||
		!got.Prepared[1].Params.Empty() {
		t.Errorf("prepared %+v", got.Prepared)
	}
}

// Where it is not sure how the text is read, no code of any reading is masked, and no value of any is shown.
func TestMaskInTwoReadings(t *testing.T) {
	for _, c := range []struct {
		settings Settings
		text     string
		want     string
		two      bool
	}{
		{Settings{}, `alter role a password 'x\'; delete from t; --y'`, `alter role a password '***'; delete from t; --y'`, false},
		{Settings{Backslashes: true}, `alter role a password 'x\'; delete from t; --y'`, `alter role a password '***'`, false},
		{Settings{Backslashes: true}, `alter role a password X'0''\'; select 'x'`, `alter role a password X'***''***'x'`, false},
		{Settings{Backslashes: true}, `select password = 0b'\'; delete from t --'`, `select password = 0b'***'; delete from t --'`, false},
		{Settings{}, "alter role a password E'a' /**/\n'x\\'; delete from t --'", "alter role a password E'***' /**/\n'***'; delete from t --'",
			false},
		{Settings{}, "alter role a password E'a' --\n'x\\'; select 1 --'", "alter role a password E'***' --\n'***'", false},
		{Settings{Unsure: true}, `alter role a password 'x\'; delete from t; --y'`, `alter role a password '***'; delete from t; --***'`, true},
		{Settings{Unsure: true}, `alter role a password 'hun\'ter2'; select 'x'`, `alter role a password '***'***'; select 'x'`, true},
		{Settings{Unsure: true}, `alter role a password 'hunter2'; select '\'`, `alter role a password '***'; select '\'`, false},
		{Settings{Unsure: true}, `select password, '\', delete, '`, `select password, '\', delete, '`, false},
		{Settings{Encoding: "SJIS"}, "alter role a password E'\x83\\'; delete from t; --y'", "alter role a password E'***'; delete from t; --y'",
			false},
		{Settings{Encoding: "sjis"}, "alter role a password E'\xb1\\'; delete from t; --y'", "alter role a password E'***'", false},
		{Settings{Encoding: "UTF8"}, "alter role a password E'\x83\\'; delete from t; --y'", "alter role a password E'***'", false},
		{Settings{Encoding: "UTF8", Unsure: true}, "alter role a password E'\x83\\'; delete from t; --y'",
			"alter role a password E'***'; delete from t; --***'", true},
		{Settings{}, `do $$ begin alter role a password 'x\'; delete from t; --y'; end $$`,
			"do $$ begin alter role a password '***'; delete from t; --***'; end $$", true},
	} {
		got := masker().Mask(c.text, Options{Settings: c.settings})
		if short(got.Text) != c.want || got.TwoReadings != c.two {
			t.Errorf("Mask(%q) with %+v, two readings: %v\n got %q\nwant %q", c.text, c.settings, got.TwoReadings, short(got.Text), c.want)
		}
	}
}

// Equal secrets have equal marks, of one person; the mark tells nothing else to whoever has not the key.
func TestMarks(t *testing.T) {
	find := func(m *Masker, text string) []string { return marks.FindAllString(m.Mask(text, Options{}).Text, -1) }
	const text = "select f(password => 'hunter2'), f(password => 'hunter2'), f(password => 'other')"
	got := find(masker(), text)
	if len(got) != 3 || got[0] != got[1] || got[0] == got[2] || !strings.HasPrefix(got[0], "<masked 7 bytes #") {
		t.Errorf("marks %q", got)
	}
	if other := find(NewMasker(nil, []byte("another")), text); other[0] == got[0] {
		t.Errorf("%s with another key too", other[0])
	}
	if v := masker().HideValue("hunter2"); v != got[0] {
		t.Errorf("a value's mark is %s, want %s", v, got[0])
	}
}

// An operator's names are those of secrets as a whole, or as a part.
func TestNamesThatAnOperatorAdds(t *testing.T) {
	m := masker("SSN", "geheim")
	for text, want := range map[string]string{
		"select * from t where ssn = 'x'":             "select * from t where ssn = '***'",
		"select * from t where user_SSN = 'x'":        "select * from t where user_SSN = '***'",
		"select * from t where classname = 'ssn'":     "select * from t where classname = 'ssn'",
		"select '{\"geheim\":1}'":                     "select '{\"geheim\":***}'",
		"insert into t (a, geheim) values ('a', 'x')": "insert into t (a, geheim) values ('a', '***')",
		"alter role a password 'x'":                   "alter role a password '***'",
	} {
		if got := short(m.Mask(text, Options{}).Text); got != want {
			t.Errorf("Mask(%q) = %q, want %q", text, got, want)
		}
	}
}

// Of a long text the beginning and the end are kept, and what is masked there is what would be masked of the whole.
func TestStream(t *testing.T) {
	pad := strings.Repeat("('a', 'padding', 'x'), ", 10_000)
	for _, c := range []struct{ text, head, tail string }{
		{"/*" + strings.Repeat("x", 300_000) + "*/ delete from t where password = 'hunter2'", "/*xxx",
			"xxx*/ delete from t where password = '***'"},
		{"insert into users (name, password, a) values " + pad + "('eve', 'hunter2', 'x'); delete from t",
			"insert into users (name, password, a) values ('a', '***', 'x'), ", ", ('a', '***', 'x'), ('eve', '***', 'x'); delete from t"},
		{"do $$ begin " + strings.Repeat("perform 'x'; ", 30_000) + " update users set password = 'hunter2'; delete from t; end $$",
			"do $$ begin perform 'x'; ", "update users set password = '***'; delete from t; end $$"},
		{"alter role a password '" + strings.Repeat("hunter2", 50_000) + "'; delete from t", "alter role a password '***'; delete from t", ""},
		{"select change_password('" + strings.Repeat("hunter2", 50_000) + "'); delete from t", "select change_password('***'); delete from t",
			""},
		{"do $$ declare password text := '" + strings.Repeat(" ", 300_000) + " ; delete from t'; begin execute password; end $$",
			"do $$ declare password text := '  ", " ; delete from t'; begin execute password; end $$"},
		{"select f(password => '" + strings.Repeat("y", 300_000) + " ; delete from t')", "select f(password => '***", " ; delete from t')"},
		{"select '" + strings.Repeat("y", 100_000) + " password=" + strings.Repeat("hunter2", 50_000) + "', 'x'; delete from t", "select 'yyy",
			"yyy password=***', 'x'; delete from t"},
		{"select $" + strings.Repeat("t", 3000) + "$'" + strings.Repeat("y", 100_000) + "$" + strings.Repeat("t", 3000) +
			"$; delete from t -- '", "select $ttt", "ttt$; delete from t -- '"},
	} {
		m := masker()
		s := m.Stream(2000, Options{})
		for at := 0; at < len(c.text); at += 5000 {
			s.Write([]byte(c.text[at:min(len(c.text), at+5000)]))
		}
		got := s.End()
		text := strings.ReplaceAll(short(got.Text), Short, "***")
		if len(got.Text) > 2100 || !strings.HasPrefix(text, c.head) || !strings.HasSuffix(text, c.tail) || strings.Contains(text, "hunter2") {
			t.Errorf("%.60q: got %d bytes,\n%.200s\n…%s", c.text, len(got.Text), text, text[max(0, len(text)-200):])
		}
	}
}

// A long text is read in one way until it can be read in another.
func TestStreamThatParts(t *testing.T) {
	pad := strings.Repeat("('a', 'b'), ", 5000)
	for _, c := range []struct {
		text, tail string
		two        bool
	}{
		{"insert into t (a, password) values " + pad + `('a', 'hunter2\'); delete from t; --y')`, `('a', '***'); delete from t; --***')`, true},
		{"do $$ begin insert into t (a, password) values " + pad + `('a', 'hunter2\'); delete from t; --y'); end; $$`,
			`delete from t; --y'); end; $$`, false},
		{"insert into t (a, password) values " + pad + `('a', 'hunter2')`, `('a', '***')`, false},
		{"alter role a password '" + strings.Repeat("hunter2", 10_000) + `\'; delete from t; --y'`, `***'; delete from t; --***'`, true},
		{"alter role a password '" + strings.Repeat("x", 2*slice-24) + `\'; delete from t; --y'`, `***'; delete from t; --***'`, true},
		{"alter role a password '" + strings.Repeat("hunter2", 10_000) + strings.Repeat(`\`, 20_001) + `'; delete from t; --y'`,
			`***'; delete from t; --***'`, true},
		{"alter role a password '" + strings.Repeat("hunter2", 10_000) + strings.Repeat(`\`, 20_000) + `'; delete from t; --y'`,
			`***'; delete from t; --y'`, false},
	} {
		for _, size := range []int{5000, 61} {
			s := masker().Stream(2000, Options{Settings: Settings{Unsure: true}})
			for at := 0; at < len(c.text); at += size {
				s.Write([]byte(c.text[at:min(len(c.text), at+size)]))
			}
			got := s.End()
			if text := short(got.Text); !strings.HasSuffix(text, c.tail) || got.TwoReadings != c.two {
				t.Errorf("…%q: two readings: %v, …%q", c.text[len(c.text)-60:], got.TwoReadings, text[max(0, len(text)-100):])
			}
		}
	}
}

// Very many secrets do not make the text much longer.
func TestMaskDoesNotGrow(t *testing.T) {
	text := "select f(password => array['" + strings.Repeat("a','", 100_000) + "'])"
	if got := masker().Mask(text, Options{}).Text; len(got) > 2*len(text) {
		t.Errorf("%d bytes of %d", len(got), len(text))
	}
}

func TestMaskValue(t *testing.T) {
	for value, want := range map[string]string{
		"host=h password=hunter2":          "host=h password=***",
		"postgres://u:hunter2@h/db":        "postgres://u:***@h/db",
		"plain":                            "plain",
		"the password of a day":            "the password of a day",
		"ALTER ROLE a PASSWORD 'hunter2';": "ALTER ROLE a PASSWORD ***",
	} {
		if got := short(masker().MaskValue(value)); got != want {
			t.Errorf("MaskValue(%q) = %q, want %q", value, got, want)
		}
	}
}
