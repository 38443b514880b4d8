// What stands around gprxy: PostgreSQL with its roles and the ledger, the issuer, the binary, and a folder for it all.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"gprxy/auth/authtest"
	"gprxy/pool/pooltest"
)

const database = "postgres"

// ledger is where clients write rows with ids that are used once. Each row says itself who wrote it.
const ledger = `
	CREATE TABLE ledger (
		id      bigint PRIMARY KEY,
		person  text NOT NULL DEFAULT current_setting('gprxy.user'),
		account text NOT NULL DEFAULT current_user,
		pid     int  NOT NULL DEFAULT pg_backend_pid());
	GRANT SELECT, INSERT ON ledger TO app_reader, app_writer, gprxy_service`

// watchClients lets PostgreSQL notice within a statement that its client is gone; without it, which is the default, a
// statement whose client has died runs to its end. Servers before 14 do not have it.
const watchClients = `
	DO $$ BEGIN
		IF current_setting('server_version_num')::int >= 140000 THEN
			ALTER DATABASE postgres SET client_connection_check_interval = '100ms';
		END IF;
	END $$`

// scene is all of it. The campaign's goroutine owns it.
type scene struct {
	dir      string
	keep     bool // leave dir behind, for somebody to look at
	binary   string
	postgres *pooltest.Server
	issuer   *authtest.Issuer

	durability string
}

func openScene(ctx context.Context, race bool, durability string) (s *scene, err error) {
	s = &scene{durability: durability}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "gprxy-crash-"); err != nil {
		return s, fmt.Errorf("make a folder for the campaign: %w", err)
	}
	if err := s.build(ctx, race); err != nil {
		return s, err
	}
	if s.issuer, err = authtest.New(authtest.Options{}); err != nil {
		return s, err
	}
	// What is told to be stored must be: without it a commit may be lost with the server, as its manual says.
	if s.postgres, err = pooltest.Start(ctx, pooltest.Options{Settings: map[string]string{"synchronous_commit": "on"}}); err != nil {
		return s, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s, s.furnish(ctx)
}

func (s *scene) build(ctx context.Context, race bool) error {
	s.binary = filepath.Join(s.dir, "gprxy")
	args := []string{"build", "-o", s.binary}
	if race {
		args = append(args, "-race", "-gcflags=modernc.org/sqlite/lib=-race=false") // as make test
	}
	if out, err := exec.CommandContext(ctx, "go", append(args, "gprxy")...).CombinedOutput(); err != nil {
		return fmt.Errorf("build gprxy: %w\n%s", err, out)
	}
	return nil
}

func (s *scene) furnish(ctx context.Context) error {
	for _, name := range []string{"app_reader", "app_writer", "gprxy_service", "alice"} {
		if err := s.postgres.CreateUser(ctx, name, secretOf(name)); err != nil {
			return err
		}
	}
	for _, sql := range []string{ledger, watchClients} {
		if err := s.postgres.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func secretOf(user string) string { return user + "-secret" }

func (s *scene) eventLog(n int) string { return filepath.Join(s.dir, fmt.Sprintf("events-%d.db", n)) }

// clientTLS trusts the certificate that gprxy made for itself.
func (s *scene) clientTLS() (*tls.Config, error) {
	root, err := os.ReadFile(filepath.Join(s.dir, ".gprxy", "tls", "root.crt"))
	if err != nil {
		return nil, fmt.Errorf("read gprxy's root certificate: %w", err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	if !config.RootCAs.AppendCertsFromPEM(root) {
		return nil, errors.New("gprxy's root certificate is none")
	}
	return config, nil
}

func (s *scene) close() error {
	var problems []error
	if s.postgres != nil {
		problems = append(problems, s.postgres.Stop())
	}
	if s.issuer != nil {
		problems = append(problems, s.issuer.Close())
	}
	if !s.keep {
		problems = append(problems, os.RemoveAll(s.dir))
	}
	return errors.Join(problems...)
}

// awaitNoBackends waits until PostgreSQL serves none of gprxy's accounts any more, and tells how long that took.
func (s *scene) awaitNoBackends(ctx context.Context) (time.Duration, error) {
	return poll(ctx, "the backends of the dead gprxy are gone", backendsLimit, func() (bool, error) {
		rows, err := s.postgres.Query(ctx, database,
			`SELECT count(*) FROM pg_stat_activity WHERE usename IN ('app_reader', 'app_writer', 'gprxy_service', 'alice')`)
		return err == nil && rows[0][0] == "0", err
	})
}
