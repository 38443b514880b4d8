package session_test

import (
	"testing"

	"gprxy/auth"
	"gprxy/session/relay"
)

// What test runners of web frameworks do all day: the test database is left, and dropped, renamed or copied at once, through the
// proxy, by whoever is in another database.
func TestAnIdleBackendDoesNotKeepADatabase(t *testing.T) {
	admin(t, "create role app_maker login createdb password 'maker-secret'")
	t.Cleanup(func() { admin(t, "drop role app_maker") })
	for name, record := range map[string]relay.RecordStatements{"unrecorded": relay.RecordNothing, "recorded": relay.RecordText} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, recordingAs(record), func(o *options) {
				roles, err := auth.NewRoles(auth.RolesConfig{Mapping: map[string]auth.Login{"MAKER": {User: "app_maker", Password: "maker-secret"}}})
				if err != nil {
					t.Fatal(err)
				}
				o.session.Roles = roles
			})
			maker := connect(t, p.dsn("bob", token("bob@example.com", "maker")))
			visit := func(database string) {
				t.Helper()
				config := mustParse(t, p.dsn("bob", token("bob@example.com", "maker")))
				config.Database = database
				conn := connectConfig(t, config)
				run(t, conn, "create table if not exists t ()")
				conn.Close(t.Context())
			}
			run(t, maker, "create database test_demo")
			visit("test_demo")
			run(t, maker, `/* django */ CREATE DATABASE "test_Copy" WITH TEMPLATE "test_demo"`)
			visit("test_Copy")
			if _, err := maker.Prepare(t.Context(), "rename", `alter database "test_Copy" rename to "test_Other"`); err != nil {
				t.Fatal(err)
			}
			if _, err := maker.Exec(t.Context(), "rename"); err != nil {
				t.Fatal(err)
			}
			visit("test_Other")
			visit("test_demo")
			run(t, maker, "; -- rails\nDROP DATABASE IF EXISTS U&\"test\\005fOther\"")
			run(t, maker, "drop database Test_Demo")
		})
	}
}
