package sqltext

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" ; ;; -- nothing\n /* at /* all */ ; */ ", nil},
		{"select 1", []string{"select 1"}},
		{"select 1;", []string{"select 1"}},
		{"begin; insert into t values (';'); commit", []string{"begin", "insert into t values (';')", "commit"}},
		{"select 'it''s; so'; select 2", []string{"select 'it''s; so'", "select 2"}},
		{`select E'\';' ; select 2`, []string{`select E'\';'`, "select 2"}},
		{`select '\'; select 2`, []string{`select '\'`, "select 2"}},
		{`select ";"";"; select 2`, []string{`select ";"";"`, "select 2"}},
		{"do $x$ begin; $y$ ; $x$; select $1;", []string{"do $x$ begin; $y$ ; $x$", "select $1"}},
		{"select a$b$;select c$b$", []string{"select a$b$", "select c$b$"}},
		{"create rule r as on insert to t do also (delete from a; delete from b); select 2",
			[]string{"create rule r as on insert to t do also (delete from a; delete from b)", "select 2"}},
		{"create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3",
			[]string{"create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end", "select 3"}},
		{"create procedure p() begin atomic select 1 as end; select atomic end; select case when true then begin end atomic; end; select 3",
			[]string{"create procedure p() begin atomic select 1 as end; select atomic end; select case when true then begin end atomic; end", "select 3"}},
		{"create function begin() returns int begin /**/ Atomic end; select begin atomic; end",
			[]string{"create function begin() returns int begin /**/ Atomic end", "select begin atomic", "end"}},
		{"begin; end", []string{"begin", "end"}},
		{"select 'open; select 2", []string{"select 'open; select 2"}},
		{"select e'a'\n'\\';'; select 2", []string{"select e'a'\n'\\';'", "select 2"}},
		{"select 1 -- ; x\r; select 2", []string{"select 1 -- ; x", "select 2"}},
		{"select 1; -- and\n ; /* more */; select 2; ;", []string{"select 1; -- and\n ; /* more */", "select 2"}},
		{"-- first\n; ; select 1", []string{"-- first\n; ; select 1"}},
	} {
		if got := Split(c.text, false); !slices.Equal(got, c.want) {
			t.Errorf("Split(%q) = %q, want %q", c.text, got, c.want)
		}
	}
	if got := Split(`select '\';' ; select 2`, true); !slices.Equal(got, []string{`select '\';'`, "select 2"}) {
		t.Errorf("with backslashes: %q", got)
	}
}

func TestMask(t *testing.T) {
	const s = "hunter2"
	for _, c := range []struct{ text, want string }{
		{"ALTER ROLE a PASSWORD 'hunter2'", "ALTER ROLE a PASSWORD '***'"},
		{"create user a encrypted password\n/* x */ 'hunter2' valid until '2030-01-01'", "create user a encrypted password\n/* x */ '***' valid until '2030-01-01'"},
		{`alter role a password E'hunt\'er2'`, `alter role a password E'***'`},
		{"alter role a password $$hunter2$$", "alter role a password $$***$$"},
		{"alter role a password U&'hunter2'", "alter role a password U&'***'"},
		{"alter role a password 'hunt''er2'; select 'x'", "alter role a password '***'; select 'x'"},
		{"alter role a password 'hunter2", "alter role a password '***"},
		{"alter role a password E'hun'\n'ter2'", "alter role a password E'***'\n'***'"},
		{"alter role a password '" + strings.Repeat("hunter2", 100) + "'", "alter role a password '***(700 bytes)'"},
		{"alter role a password null", "alter role a password null"},
		{"create user mapping for u server s options (user 'u', password 'hunter2')", "create user mapping for u server s options (user 'u', password '***')"},
		{`alter server s options (set "password" 'hunter2', add sslpassword 'hunter2')`, `alter server s options (set "password" '***', add sslpassword '***')`},
		{"select dblink_connect('c', 'host=h password=hunter2 user=u')", "select dblink_connect('c', 'host=h password=***')"},
		{"select dblink_connect('postgresql://u:hunter2@h/d')", "select dblink_connect('postgresql://u:***')"},
		{"create subscription s connection 'host=h password = ''hunter2''' publication p", "create subscription s connection 'host=h password = ***' publication p"},
		{"set app.password = 'hunter2'", "set app.password = '***'"},
		{"set app.password to 'hunter2'", "set app.password to '***'"},
		{"select set_config('app.password', 'hunter2', false)", "select set_config('app.password', '***', false)"},
		{"select * from users where password = 'hunter2' and name = 'x'", "select * from users where password = '***' and name = 'x'"},
		{"select * from users where password = crypt('hunter2', password) and name = 'x'", "select * from users where password = crypt('***', password) and name = 'x'"},
		{"select * from users where password::text <> ( 'hunter2' ) and name = lower('x')", "select * from users where password::text <> ( '***' ) and name = lower('x')"},
		{"select set_config('app.password'::text, 'hunter2'::text, 'f'::bool)", "select set_config('app.password'::text, '***'::text, 'f'::bool)"},
		{"select set_config(setting_name => 'app.password', new_value => 'hunter2')", "select set_config(setting_name => 'app.password', new_value => '***')"},
		{`insert into users (name, "password") values ('eve', 'hunter2'); select 'x'`, `insert into users (name, "password") values ('***', '***'); select 'x'`},
		{"insert into tokens (name) values ('x')", "insert into tokens (name) values ('x')"},
		{"select format('alter role x password %L', 'hunter2')", "select format('alter role x password %***', '***')"},
		{"do $$ begin execute format('alter role x password %L', 'hunter2'); end $$", "do $$ begin execute format('alter role x password %***$$"},
		{"select token from f('x') where a > ('y')", "select token from f('x') where a > ('y')"},
		{"do $$ begin execute 'alter role a password ''hunter2'''; end $$", "do $$ begin execute 'alter role a password '***$$"},
		{`select '{"password": "hunter2"}'::json`, `select '{"password": ***'::json`},
		{"-- alter role a password 'hunter2'\nselect 1", "-- alter role a password '***\nselect 1"},
		{"select 'a', password, 'b' from users", "select 'a', password, 'b' from users"},
		{"select 'https://example.org/a:b@c'", "select 'https://example.org/a:b@c'"},
	} {
		got, secret := Mask(c.text, false)
		if got != c.want {
			t.Errorf("Mask(%q)\n got %q\nwant %q", c.text, got, c.want)
		}
		if hidden := c.text != c.want; secret != hidden {
			t.Errorf("Mask(%q): secret is %v", c.text, secret)
		}
		if strings.Contains(got, s) {
			t.Errorf("Mask(%q) shows the secret", c.text)
		}
	}
	for _, text := range []string{"update users set password = $1", "select set_config('app.password', $2, false)",
		"update users set password = crypt($1, gen_salt('bf'))", "insert into users (name, password) values ($1, $2)"} {
		if _, secret := Mask(text, false); !secret {
			t.Errorf("Mask(%q): its values are not secret", text)
		}
	}
}

func TestMaskLiterals(t *testing.T) {
	const text, want = `execute s('a', 1, E'b\'c', $$d$$, "e")`, `execute s('***', 1, E'***', $$***$$, "e")`
	if got := MaskLiterals(text, false); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// However a text is cut into pieces, the words are seen.
func TestWatch(t *testing.T) {
	for text, want := range map[string]bool{
		"select 1": false, "accessories, passing, tokyo, https://example.org/a@b": false, "the passphrase": true, "x.PASSWORD": true,
		"postgres://me:secret@host": true, "postgres://me:pw@host": true, "my api_key": true, "my api key": false,
	} {
		text = strings.Repeat("x", 1000) + " " + text + " " + strings.Repeat("y", 1000)
		for _, size := range []int{1, 7, 300, 5000} {
			var w Watch
			for piece := range slices.Chunk([]byte(text), size) {
				w.See(piece)
			}
			if w.Found() != want {
				t.Errorf("%q in pieces of %d: found is %v", strings.Trim(text, "xy"), size, w.Found())
			}
		}
	}
}

func TestMaskValue(t *testing.T) {
	for value, want := range map[string]string{
		"host=h password=hunter2":          "host=h password=***",
		"postgres://u:hunter2@h/db":        "postgres://u:***",
		"plain":                            "plain",
		"the password of a day":            "the password of a day",
		"ALTER ROLE a PASSWORD 'hunter2';": "ALTER ROLE a PASSWORD '***",
	} {
		if got := MaskValue(value); got != want {
			t.Errorf("MaskValue(%q) = %q, want %q", value, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{"select 'a'; select $x$;$x$", "alter role a password E'x\\'y'", `create function f() begin atomic; end; "x`, "u&'", "/* /*"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, backslashes bool) {
		var whole strings.Builder
		l := lexer{rest: text, backslashes: backslashes}
		for token, more := l.next(); more; token, more = l.next() {
			if token.text == "" || token.open+token.shut > len(token.text) {
				t.Fatalf("token %+v", token)
			}
			whole.WriteString(token.text)
		}
		if whole.String() != text {
			t.Fatalf("the tokens are %q", whole.String())
		}
		for _, s := range Split(text, backslashes) {
			if s == "" || !strings.Contains(text, s) {
				t.Fatalf("statement %q", s)
			}
		}
		if masked, secret := Mask(text, backslashes); !secret && masked != text {
			t.Fatalf("changed to %q without a secret", masked)
		}
		const planted = "Tr0ub4dor"
		if strings.ContainsAny(text, "'\"$\\-/*") || strings.Contains(text, planted) {
			return
		}
		if masked, _ := Mask(text+" PASSWORD '"+planted+"'", backslashes); strings.Contains(masked, planted) {
			t.Fatalf("the secret shows: %q", masked)
		}
	})
}

func BenchmarkMaskNothing(b *testing.B) {
	const text = "SELECT abalance FROM pgbench_accounts WHERE aid = 4711 AND bid = 12"
	for b.Loop() {
		if _, secret := Mask(text, false); secret {
			b.Fatal("no secret there")
		}
	}
}
