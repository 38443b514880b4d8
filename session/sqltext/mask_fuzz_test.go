package sqltext

import (
	"strings"
	"testing"
)

// tokens gives the tokens of a text.
func tokens(text string, r reading) (all []token) {
	l := lexer{rest: text, reading: r}
	for t, more := l.next(); more; t, more = l.next() {
		all = append(all, t)
	}
	return all
}

// Whatever a client sends: nothing panics, nothing grows, and no byte of code is lost.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"select 'a'; select $x$;$x$", "alter role a password E'x\\'y'", `create function f() begin atomic; end; "x`,
		"u&'", "/* /*", "1E'", "$a$$a",
		"select set_config('password', '\\''; select 1 --", "do $$ begin execute 'alter role a password ''x'' \\' || 'y'; end",
		"insert into t (a, password) values ('a', 'b'), (1, 2345",
		"do 'x' language plperl; update users set (a, token) = ('x', [array['y')", "prepare p as select token = $1; execute p('\x83\\', 1234)",
		"-- password=\n/*token:'*/ E'\\", "set x.password = y'z'"} {
		f.Add(seed, false, false, 3)
		f.Add(seed, true, true, 100)
	}
	f.Fuzz(func(t *testing.T, text string, backslashes, unsure bool, size int) {
		settings := Settings{Backslashes: backslashes, Unsure: unsure}
		for _, w := range readings(text, settings) {
			var whole strings.Builder
			for _, token := range tokens(text, w.reading) {
				if token.text == "" || token.open+token.shut > len(token.text) {
					t.Fatalf("token %+v", token)
				}
				whole.WriteString(token.text)
			}
			if whole.String() != text {
				t.Fatalf("the tokens are %q", whole.String())
			}
		}
		for _, s := range Split(text, settings) {
			if s == "" || !strings.Contains(text, s) {
				t.Fatalf("statement %q", s)
			}
		}
		o := Options{Settings: settings, Executes: func(string) (Params, bool) { return nil, false }}
		got := masker().Mask(text, o)
		if !got.Hidden && got.Text != text {
			t.Fatalf("changed to %q without a secret", got.Text)
		}
		if len(got.Text) > 2*len(text)+40*manyMarks {
			t.Fatalf("%d bytes of %d", len(got.Text), len(text))
		}
		if strings.Contains(text, "<masked") {
			return
		}
		ways := readings(text, settings)
		for _, w := range ways {
			codeStays(t, text, got.Text, w.reading)
		}
		if len(ways) == 1 {
			sameTokens(t, text, got.Text, ways[0].reading)
		}
		s := masker().stream(o, readings(text, settings))
		s.out = &ends{most: -1}
		text += strings.Repeat(" ", foresight)
		for at, step := 0, 64+max(0, size%5000); at < len(text); at += step {
			s.read(text[at:min(len(text), at+step)], false)
		}
		s.read("", true)
		codeStays(t, text, s.masked().Text, ways[0].reading)
	})
}

// codeStays: the code of a text stands in the masked one, in order.
func codeStays(t *testing.T, text, masked string, r reading) {
	t.Helper()
	at := 0
	all := tokens(text, r)
	for i, token := range all {
		switch token.kind {
		case space, comment, literal:
			continue
		case word, number: // these may be values
			if i > 0 && i+1 < len(all) && all[i-1].kind == literal && strings.HasPrefix(all[i+1].text, "'") {
				continue // see reader.glued
			}
			if next := strings.Index(masked[at:], token.text); next < 0 && (token.kind == number || i > 1) {
				continue
			}
		}
		next := strings.Index(masked[at:], token.text)
		if next < 0 {
			t.Fatalf("%q is lost: %q became %q", token.text, text, masked)
		}
		at += next + len(token.text)
	}
}

// sameTokens: the masked text has the same tokens but for what is masked.
func sameTokens(t *testing.T, text, masked string, r reading) {
	t.Helper()
	before, after := tokens(text, r), tokens(masked, r)
	if len(before) != len(after) {
		t.Fatalf("%d tokens became %d: %q became %q", len(before), len(after), text, masked)
	}
	for i, b := range before {
		a := after[i]
		if a.text == b.text {
			continue
		}
		value := b.kind == a.kind && (b.kind == literal || b.kind == comment)
		bare := (b.kind == number || b.kind == word) && a.kind == literal
		if !value && !bare || !strings.Contains(a.text, "<masked") && !strings.Contains(a.text, Short) {
			t.Fatalf("%q became %q in %q", b.text, a.text, masked)
		}
	}
}
