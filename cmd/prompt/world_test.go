package prompt

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/pool/pooltest"
)

// The tests talk to a real PostgreSQL, and compare with a real psql.

var postgres *pooltest.Server

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) (code int) {
	ctx, done := context.WithTimeout(context.Background(), 2*time.Minute)
	defer done()
	var err error
	if postgres, err = pooltest.Start(ctx, pooltest.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, "starting PostgreSQL:", err)
		return 1
	}
	defer func() {
		if err := postgres.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping PostgreSQL:", err)
			code = 1
		}
	}()
	if err := postgres.Exec(ctx, "CREATE DATABASE other"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// outcome is what a script did.
type outcome struct {
	code      int
	err       error
	out, errs string
}

// connectSuperuser is a Config.Connect.
func connectSuperuser(ctx context.Context, database string, prepare func(*pgconn.Config)) (*pgconn.PgConn, error) {
	config, err := pgconn.ParseConfig(postgres.SuperuserDSN())
	if err != nil {
		return nil, err
	}
	if database != "" {
		config.Database = database
	}
	prepare(config)
	return pgconn.ConnectConfig(ctx, config)
}

// runScript runs a script without a terminal.
func runScript(t *testing.T, text string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	code, err := Run(t.Context(), Config{In: strings.NewReader(text), Out: &out, Err: &errs, Connect: connectSuperuser})
	return outcome{code, err, out.String(), errs.String()}
}
