package session_test

import (
	"slices"
	"strings"
	"testing"
)

// The greeting is PostgreSQL's, also on a backend that is used again: whatever
// the session before has changed, and however it told so, holds no more.
func TestTheGreetingOfTheNextSessionIsTrue(t *testing.T) {
	t.Parallel()
	p := startProxy(t, func(o *options) { o.pool.MaxConns = 1 })
	wishes := []string{"client_encoding", "UTF8", "TimeZone", "Europe/Oslo", "application_name", strings.Repeat("n", 70)}
	greet := func(leave ...string) []received {
		t.Helper()
		conn := dial(t, p.addr)
		greeting := login(t, conn, "bob", token("bob@example.com", "reader"), wishes...)
		for _, sql := range leave {
			send(t, conn, query(sql))
			receiveUntil(t, conn, 'Z')
		}
		send(t, conn, message('X', ""))
		readAll(t, conn)
		return greeting
	}
	first := greet("set client_encoding to 'LATIN1'; set time zone 'Asia/Tokyo'", "set application_name to 'ü'",
		"begin; set local datestyle to 'German'; set session intervalstyle to 'sql_standard'")
	if !slices.Contains(reported(first), "Europe/Oslo") || first[1].kind != 'N' {
		t.Fatalf("the first greeting is %v", first)
	}
	for range 3 {
		next := greet("set session characteristics as transaction read only; set time zone 'UTC'")
		key := len(next) - 2
		if next[key].body[:4] != first[key].body[:4] {
			t.Fatal("another backend")
		}
		if next[key].body == first[key].body {
			t.Error("the cancel secret is the same")
		}
		next[key] = first[key]
		if !slices.Equal(next, first) {
			t.Errorf("first %v\nthen  %v", first, next)
		}
	}
}

// reported are the values of the reported parameters.
func reported(greeting []received) (values []string) {
	for _, m := range greeting {
		if m.kind == 'S' {
			_, value, _ := strings.Cut(strings.TrimSuffix(m.body, "\x00"), "\x00")
			values = append(values, value)
		}
	}
	return values
}
