// The database of the story: a real PostgreSQL with accounts, a person with a password, and orders.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"gprxy/pool/pooltest"
)

const (
	database = "shop"

	reader  = "app_reader"  // may read orders
	writer  = "app_writer"  // may read and write orders
	service = "app_service" // serves people who log in with a database password
)

// accounts are the passwords of the database's roles, made anew for each run.
type accounts struct{ reader, writer, service, carol string }

// orders fills the table; only app_writer may change it.
const orders = `
	CREATE TABLE orders (
		id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		customer   text NOT NULL,
		item       text NOT NULL,
		quantity   int NOT NULL DEFAULT 1 CHECK (quantity > 0),
		price      numeric(10,2) NOT NULL,
		status     text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'paid', 'shipped')),
		ordered_at timestamptz NOT NULL DEFAULT now()
	);
	INSERT INTO orders (customer, item, quantity, price, status, ordered_at)
		SELECT (ARRAY['Ada', 'Brian', 'Chitra', 'Dmitri', 'Emeka', 'Fatima', 'Grace'])[1 + i % 7],
			(ARRAY['lamp', 'desk', 'chair', 'shelf', 'kettle'])[1 + i % 5],
			1 + i % 3,
			5 + (i * 37 % 200) + 0.99,
			(ARRAY['shipped', 'paid', 'shipped', 'open'])[1 + i % 4],
			now() - make_interval(hours => i)
		FROM generate_series(1, 1000) i;
	GRANT SELECT ON orders TO app_reader, app_writer, app_service;
	GRANT INSERT, UPDATE, DELETE ON orders TO app_writer;`

// whoami tells for whom PostgreSQL takes a session, and for whom gprxy told it that it is.
const whoami = `
	CREATE VIEW whoami AS
		SELECT current_user, current_setting('gprxy.user', true) AS person, pg_backend_pid() AS backend;
	GRANT SELECT ON whoami TO PUBLIC;`

func startPostgreSQL(ctx context.Context, d *demo) error {
	server, err := pooltest.Start(ctx, pooltest.Options{TLS: true, Progress: d.screen.out})
	if err != nil {
		return err
	}
	d.postgres = server
	d.undo = append(d.undo, server.Stop)
	d.accounts = accounts{rand.Text(), rand.Text(), rand.Text(), rand.Text()}
	for _, role := range []struct{ name, password string }{
		{reader, d.accounts.reader}, {writer, d.accounts.writer}, {service, d.accounts.service}, {"carol", d.accounts.carol},
	} {
		if err := server.CreateUser(ctx, role.name, role.password); err != nil {
			return fmt.Errorf("create the role %s: %w", role.name, err)
		}
	}
	if err := server.Exec(ctx, "CREATE DATABASE "+database); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	if _, err := server.Query(ctx, database, orders+whoami); err != nil {
		return fmt.Errorf("create orders and whoami: %w", err)
	}
	version, err := d.ask(ctx, "SHOW server_version")
	if err != nil {
		return err
	}
	d.screen.say("PostgreSQL %s on %s, database %s", version, server.Addr(), database)
	d.screen.say("service accounts: %s and %s may read, %s may write; a person: carol", reader, service, writer)
	d.screen.say("view whoami: current_user, current_setting('gprxy.user') as person, pg_backend_pid() as backend")
	return nil
}

// ask asks PostgreSQL directly, past gprxy and as its superuser; the answer is one row, its values joined by a blank,
// or "" without a row.
func (d *demo) ask(ctx context.Context, sql string) (string, error) {
	rows, err := d.postgres.Query(ctx, database, sql)
	if err != nil {
		return "", fmt.Errorf("ask PostgreSQL directly: %w", err)
	}
	if len(rows) == 0 || slices.Equal(rows[0], []string{""}) {
		return "", nil
	}
	return strings.Join(rows[0], " "), nil
}
