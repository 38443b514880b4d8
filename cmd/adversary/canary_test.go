package main

import (
	"strings"
	"testing"
)

// canaryCanSee leaves one thing after the other on a session of its own, and asks whether the canary notices.
func canaryCanSee(t *testing.T, l *lane) {
	for left, want := range map[string]string{
		"set statement_timeout = 4711":                                   "settings: statement_timeout=4711",
		"prepare s as select 1":                                          "prepared statements",
		"declare c cursor with hold for select 1":                        "cursors",
		"select pg_advisory_lock(1)":                                     "advisory locks",
		"listen c":                                                       "channels",
		"create temp table canary (n int)":                               "a table canary",
		"create temp table items (n int)":                                "schema of items",
		"select set_config('gprxy.user', 'mallory', false)":              "gprxy.user",
		"select pg_sleep(0.3); select 'an answer that nobody waits for'": "the canary was answered with",
		"begin": "the canary was answered with",
	} {
		session, err := login(t.Context(), l.postgres.Addr(), account, accountSecret, l.database)
		if err != nil {
			t.Fatal(err)
		}
		session.send(query("select set_config('gprxy.user', '" + person("canaryx0") + "', false)"))
		session.await('Z', loginLimit)
		session.send(query(left))
		if !strings.Contains(left, "nobody waits") {
			session.await('Z', loginLimit)
		}
		if found := strings.Join(l.checkCanary(session, "canaryx0"), "\n"); !strings.Contains(found, want) {
			t.Errorf("%s: the canary found %q", left, found)
		}
		session.leave(leaveClose)
	}
}
