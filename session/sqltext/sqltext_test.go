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
			[]string{"create procedure p() begin atomic select 1 as end; select atomic end; select case when true then begin end atomic; end",
				"select 3"}},
		{"create function begin() returns int begin /**/ Atomic end; select begin atomic; end",
			[]string{"create function begin() returns int begin /**/ Atomic end", "select begin atomic", "end"}},
		{"begin; end", []string{"begin", "end"}},
		{"select 'open; select 2", []string{"select 'open; select 2"}},
		{"select e'a'\n'\\';'; select 2", []string{"select e'a'\n'\\';'", "select 2"}},
		{"select 1 -- ; x\r; select 2", []string{"select 1 -- ; x", "select 2"}},
		{"select 1; -- and\n ; /* more */; select 2; ;", []string{"select 1; -- and\n ; /* more */", "select 2"}},
		{"-- first\n; ; select 1", []string{"-- first\n; ; select 1"}},
	} {
		if got := Split(c.text, Settings{}); !slices.Equal(got, c.want) {
			t.Errorf("Split(%q) = %q, want %q", c.text, got, c.want)
		}
	}
	if got := Split(`select '\';' ; select 2`, Settings{Backslashes: true}); !slices.Equal(got, []string{`select '\';'`, "select 2"}) {
		t.Errorf("with backslashes: %q", got)
	}
	if got := Split(`select '\';' ; select 2`, Settings{Unsure: true}); got != nil {
		t.Errorf("not knowing whether with backslashes: %q", got)
	}
	if got := Split(`select '\''; select 2`, Settings{Unsure: true}); got != nil {
		t.Errorf("not knowing whether with backslashes: %q", got)
	}
	if got := Split(`select '\\'; select 2`, Settings{Unsure: true}); len(got) != 2 {
		t.Errorf("not minding whether with backslashes: %q", got)
	}
}

func BenchmarkMaskNothing(b *testing.B) {
	const text = "SELECT abalance FROM pgbench_accounts WHERE aid = 4711 AND bid = 12"
	m := NewMasker(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if m.Mask(text, Options{}).Hidden {
			b.Fatal("no secret there")
		}
	}
}

func BenchmarkMaskSomething(b *testing.B) {
	const text = "UPDATE users SET password = crypt('hunter2', gen_salt('bf')) WHERE name = 'eve'"
	m := NewMasker(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if !m.Mask(text, Options{}).Hidden {
			b.Fatal("there is a secret")
		}
	}
}

// What long texts cost, read in one way and in all.
func BenchmarkMaskLong(b *testing.B) {
	text := "insert into users (name, password) values " + strings.Repeat("('eve', 'hunt\\\\er2', 12345, 'é\\'), ", 3000)
	for name, s := range map[string]Settings{"sure": {}, "unsure": {Unsure: true}} {
		b.Run(name, func(b *testing.B) {
			m := NewMasker(nil, nil)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				m.Mask(text, Options{Settings: s})
			}
		})
	}
}
