package sqltext

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// Whatever a literal is read as in the end, and whatever is put together with it: what is masked in it is one word, or what
// stands between two quotes, and neither a command nor a call.
func TestNoLiteralHidesCode(t *testing.T) {
	for _, text := range []string{
		// A name of a secret that stands in a literal within the literal.
		"select f('notify c, ''password=''; table y')", "select f('x, ''password=''; table y; ''''')",
		`select f(E'x, \'password=\'; table y; \'\'')`,
		"select f($$x, 'password='; vacuum y; ''$$)", `select f('vacuum a, "password=", hidden_table, "b"')`,
		"select f('x, ''password='';table y;''''')", "select f('x, ''password='';f(1);''''')",
		// Commands and calls where a value would stand.
		"select f('x password= table secrets')", "select f('x password = lock orders')", "select f('x password=f(1) y')",
		"select f('x password=f/**/(1) y')", "select f('x password=f --\n(1) y')",
		"select f('x password=1/**/union/**/table/**/y')", "select f('x password=1.union table y')",
		"select f('x password=deallocate y')", "select f('x password=checkpoint')",
		// Short statements that are values.
		"select set_config('app.password', 'table secrets', true)", `select set_config('app.password', 'x; table a."b" limit 5', true)`,
		"do $$ declare password text = 'commit'; begin execute password; end $$", "set app.password = 'lock orders in share mode'",
		"set app.password = 'vacuum full orders'",
		"set app.password = 'notify c, ''x'''", "set app.password = 'x; rollback'",
		// Other ways to write the same.
		`set app.password = E'\x64elete from y'`, `set app.password = U&'\0064elete from y'`,
		`set app.password = U&'x!003B!0020delete from y' uescape '!'`,
		`select f('x') , U&'password!003D''!003B!0020table y' uescape '!'`,
		// What is put together.
		"select f('notify c; password=' || '''; table y; ''')", "select f('notify c; password='\n'''; table y; ''')",
		"select f('x password=' || '''; table y; ''')", "select f('x password='\n'''; table y; ''')",
		"select f('notify c, ''' || 'a'', ''password='';table y;''')", `select f('notify c, ''' || '{"password": "'';table y;--"}')`,
		"select f('notify c, ''' || 'a=password='';table y;--')",
		"select f('notify c, ''' || '/* password='';table y;--*/ lock orders')", "select f('select password=' || ' (select 1) union table y')",
		"select f('x password= /*' || '*/ table y')",
		// URLs.
		"select f('x://a:'';table/**/y;--@')", "select f('x://a:/**/table/**/y@')", `select f('x://a:;table"y"@h')`,
	} {
		if got := masker().Mask(text, Options{}); got.Text != text {
			t.Errorf("Mask(%q)\n got %q", text, got.Text)
		}
	}
}

// A value that is a statement is read as one, however rare or short that is.
func TestStatementsAsValuesStay(t *testing.T) {
	for _, statement := range []string{"(table t)", "((table salaries))", "analyse t", "analyze", "vacuum full", "vacuum", "cluster",
		"cluster verbose", "reset x", "set time zone x", "close a", "close all", "show x",
		"fetch a", "fetch 5 a", "fetch forward 5 from a", "fetch all in a", "move a", "savepoint a", "release savepoint a", "release a",
		"rollback to a", "rollback and chain", "rollback work", "commit work", "commit and chain", "end work", "abort transaction",
		"begin work", "begin read only", "begin isolation level serializable", "start transaction", "deallocate x", "deallocate all",
		"deallocate prepare x", "reindex concurrently t", "create default conversion c for a",
		"prepare transaction ''x''", "commit prepared ''x''", "rollback prepared ''x''"} {
		text := "do $$ declare password text := '" + statement + "'; begin execute password; end $$"
		if got := masker().Mask(text, Options{}); got.Text != text {
			t.Errorf("Mask(%q)\n got %q", text, got.Text)
		}
	}
}

// What a secret can be in the formats that people write is masked, and nothing else.
func TestMaskInLiterals(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"select f('host=h password=ab;cd(e user=x')", "select f('host=h password=*** user=x')"},
		{"select f('host=h password=''two words'' user=x')", "select f('host=h password=''***'' user=x')"},
		{`select f('host=h password=''it\''s one'' user=x')`, `select f('host=h password=''***'' user=x')`},
		{"select f('host=h password=' || 'ab;cd(e user=x')", "select f('host=h password=' || '*** user=x')"},
		{"select format('host=h password=%s', 'two words')", "select format('host=h password=%s', '***')"},
		{"select format('host=h password=%2$s', 'h', 'two words')", "select format('host=h password=%2$s', '***', '***')"},
		{"select f('x password=%secret')", "select f('x password=***')"},
		{"select f('x password=''two words'' y')", "select f('x password=''***'' y')"},
		{"select f('x password=''two union words'' y')", "select f('x password=''*** union words'' y')"},
		{`select f('{"a": 1, "password": "ab;cd(e two", "b": "password"}')`, `select f('{"a": 1, "password": "***", "b": "password"}')`},
		{`select f('[{"password": "a\"b c", "token": 12, "b": {"token": null}}]')`,
			`select f('[{"password": "***", "token": ***, "b": {"token": ***}}]')`},
		{`select f('{"headers": {"Authorization": "Bearer x y"}}')`, `select f('{"headers": {"Authorization": "***"}}')`},
		{`select f('{"token": ["a","b c"], "a": ["b"]}')`, `select f('{"token": [***], "a": ["b"]}')`},
		{`select f('{"token": {"value": "a]}\"b", "n": [1, [2]]}, "a": "b"}')`, `select f('{"token": {***}, "a": "b"}')`},
		{`select f('{"a": {"token": []}, "b": [1]}')`, `select f('{"a": {"token": []}, "b": [1]}')`},
		{`select f('{"token": ["two words", "f(1) three", "x"], "a": "b"}')`, `select f('{"token": ["***", "f(1) three", "***"], "a": "b"}')`},
		{`select f('{"token": ["a", "'';table y;--"], "a": "b"}')`, `select f('{"token": ["***", "'';table y;--"], "a": "b"}')`},
		{`select f('host=h password=two\ words user=x')`, `select f('host=h password=*** user=x')`},
		{`select f('host=h password=a\''b\\ user=x')`, `select f('host=h password=*** user=x')`},
		{"select f('Authorization: Bearer abc.de-f--g and more')", "select f('Authorization: Bearer *** and more')"},
		{"select f('curl -H ''Authorization: Basic abc='' https://u:p(w;x@h/d')",
			"select f('curl -H ''Authorization: Basic ***'' https://u:***@h/d')"},
		{"select f(U&'password!003Dxx!0020y' uescape '!')", "select f(U&'password!003D***!0020y' uescape '!')"},
		{"select set_config('app.password', 'table tennis in spring', true)", "select set_config('app.password', '***', true)"},
		{"select set_config('app.password', 'correct horse battery', true)", "select set_config('app.password', '***', true)"},
	} {
		if got := short(masker().Mask(c.text, Options{}).Text); got != c.want {
			t.Errorf("Mask(%q)\n got %q\nwant %q", c.text, got, c.want)
		}
		if again := inPieces(c.text, 61); again != c.want {
			t.Errorf("Mask(%q) in pieces\n got %q\nwant %q", c.text, again, c.want)
		}
	}
}

// The same holds of a literal that is too long to be seen as a whole.
func TestLongLiteralsHideNoCode(t *testing.T) {
	const secret = "secret9"
	pad := strings.Repeat("y ", 10_000)
	for _, c := range []struct {
		text, want string
		shows      bool // the secret too, since code may stand in it
	}{
		{"set app.password = '" + pad + "; delete /* " + pad + "*/ from t; " + pad + "'", "from t; ", false},
		{"set app.password = '" + pad + strings.Repeat(secret, 2000) + " z'", "*** z", false},
		{"select f('" + pad + " password=''; table y; '' " + pad + "')", "table y;", false},
		{"select f('" + pad + " password=" + strings.Repeat(secret, 2000) + " table y; " + pad + "')", "*** table y;", false},
		{`select f('{"password": "` + strings.Repeat(secret+" ", 800) + `", "b": ` + pad + "}')", `"b":`, false},
		{`select f('{"password": "` + strings.Repeat(secret+" ", 800) + `'';table y;` + pad + "}')", `table y;`, true},
		{"set app.password = U&'x!003B!0020delete from y " + pad + "' uescape '!'", "!0020delete from y", false},
	} {
		got := inPieces(c.text, 5000)
		if !strings.Contains(got, c.want) || strings.Contains(got, secret) && !c.shows {
			t.Errorf("%.80q…: %d bytes, without %q, or with the secret: %.200q …", c.text, len(got), c.want, got)
		}
	}
}

// Random pieces of literals, in literals, put together in any order: each command and call of them stays.
func TestRandomLiteralsHideNoCommand(t *testing.T) {
	pieces := []string{"password=", "password = ", "token: ", `"secret": `, "password ", "''", "''''", `"`, " table y ", "table", " union ",
		";", " delete from t ", "danger(1)", " danger (1)", "/*", "*/", "--", "\n", "x", " ", "{", "}", "[", ",", "a=", `"token": [`,
		`{"token": {`, `["`, `"]`, `\ `, "host=h password=", "://u:", "@h", "bearer ", "%s ", "1", "=", "select ", "lock a"}
	outside := []string{"' || '", "'\n'", "', '", "' || E'"}
	words := regexp.MustCompile(`\b(table|union|delete|select|lock)\b|danger ?\(`)
	rnd := rand.New(rand.NewPCG(7, 7))
	m := masker()
	for range 5000 {
		var b strings.Builder
		b.WriteString("select f('")
		for range 2 + rnd.IntN(12) {
			if rnd.IntN(8) == 0 {
				b.WriteString(outside[rnd.IntN(len(outside))])
			} else {
				b.WriteString(pieces[rnd.IntN(len(pieces))])
			}
		}
		b.WriteString("')")
		text := b.String()
		got := m.Mask(text, Options{}).Text
		if a, b := words.FindAllString(text, -1), words.FindAllString(got, -1); len(a) != len(b) {
			t.Fatalf("%q became %q", text, got)
		}
	}
}

// No command is longer than what is looked up.
func TestCommandsAreFound(t *testing.T) {
	for command := range commands {
		if !commands.in("x " + command + " y") {
			t.Errorf("%s is not found", command)
		}
	}
}
