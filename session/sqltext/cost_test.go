package sqltext

import (
	"strings"
	"testing"
	"time"
)

// What masking costs grows as the text does, whatever the text is: PostgreSQL refuses most of these in a millisecond.
func TestMaskingCostsNoMoreThanTheTextIsLong(t *testing.T) {
	for _, shape := range []struct{ begin, again, end string }{
		{"select password, ", "U&'a' ", ""}, {"select password, ", "U&'a'\n", ""}, {"select password, U&'a'\n", "'a'\n", "uescape '!'"},
		{"do ", "'password' ", ""}, {"do ", "'password ''x''' ", ""}, {"do password ", "$a$$a$", ""}, {"select password = ", "$a$$a$", ""},
		{"select password = ", "$a$ $a$||", ""},
		{"select f('", "password ''x'' ", "')"}, {"select f('", "password \"x\" ", "')"}, {"select f('", "password=table;", "')"},
		{"select f('a=b ", "password=table;", "')"},
		{"select f('a=b ", "password=x(", "')"}, {"select f('{", "\"password\": \"table ", "')"}, {"select f('{", "\"password\": x(", "')"},
		{"select f('", "x://u:table", "@h')"},
		{"select f('", "password=x( ", "')"}, {"select f('", "password=%s ", "')"}, {"select f('", "password=", "')"},
		{"select f('", "password ", "')"},
		{"-- ", "password=x ", ""}, {"/* ", "password=x */ /* ", "*/"}, {"select '", "; select password ", "'"},
		{"select '", ";select ", "password=x'"},
		{"select password = (", "(", ")"}, {"insert into t (", "password, ", "a) values ('x')"}, {"select password = 'x", "''; table y ", "'"},
		{"select format('password %s', ", "'delete from t', ", "'x')"},
		{"execute p(password, ", "'a', ", "'b')"}, {"prepare p as select password = $1; ", "execute p('x'); ", ""},
		{"select ", "'a' as password, ", "1"}, {"select ", "'a' = a.b.c.password and ", "true"},
		{"/* password= ", "table ", "*/"}, {"select '", "[token:", "=>table '"},
		{"do $$ begin execute 'select password ", "'' || ''x'' || ''", "'; end $$"}, {`select E'`, `password=\x41`, `'`},
		{`select f('{"token": [`, `"a", `, `"b"]}')`}, {`select f('{"token": [`, `"a(1)", `, `"b"]}')`}, {`select f('`, `[{"token": [`, `')`},
		{`select f('`, `[{"token": ["a(1)" `, `')`},
		{"select ", "('a'::text) token, ", "1"}, {"select ", "'a') || ", "'b' password"}, {"set app.password to ", "'a', ", "'b'"},
		{"select f('a=b ", `password=a\ `, "')"}, {"create function password() returns int as ", "'a' ", " language plperl"},
	} {
		cost := func(n int) time.Duration {
			text := shape.begin + strings.Repeat(shape.again, n/len(shape.again)) + shape.end
			start := time.Now()
			masker().Mask(text, Options{Executes: func(string) (Params, bool) { return nil, true }})
			return time.Since(start)
		}
		const short, long = 2 << 10, 64 << 10
		for attempt := 1; ; attempt++ {
			before, after := cost(short), cost(long)
			if after < 4*long/short*max(before, 200*time.Microsecond) {
				break // with a cost that grows faster it is sixteen times that
			}
			if attempt == 5 { // else the machine may have been busy
				t.Errorf("%q: %v for 2 kB, %v for 64 kB", shape.begin+shape.again+shape.again+"…"+shape.end, before, after)
				break
			}
		}
	}
}

// Nor does what is kept of a text grow with it: no list of columns, and no statements that it prepares, beyond what PostgreSQL takes
// or is likely. The values for what is not remembered are hidden.
func TestLittleOfALongTextIsKept(t *testing.T) {
	s := masker().Stream(1000, Options{})
	s.Write([]byte("insert into t (" + strings.Repeat("password,", 100_000)))
	if n := len(s.readers[0].frame().secret); n == 0 || n > mostColumns {
		t.Errorf("%d columns are remembered", n)
	}
	prepares := strings.Repeat("prepare some as select 1;", 100_000) + "prepare p(text) as update users set password = $1;"
	got := masker().Mask(prepares+"execute p('hunter2'); execute some('x')", Options{})
	if len(got.Prepared) == 0 || len(got.Prepared) > mostPrepared {
		t.Errorf("%d statements are remembered", len(got.Prepared))
	}
	if strings.Contains(got.Text, "hunter2") || !strings.Contains(got.Text, "execute some('x')") {
		t.Errorf("masked as …%s", got.Text[len(prepares):])
	}
}
