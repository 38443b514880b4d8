package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"gprxy/auth/authtest"
)

var (
	tpsLine = regexp.MustCompile(`tps = ([0-9.]+)`)
	txLine  = regexp.MustCompile(`number of transactions actually processed: (\d+)`)
)

func (l *lab) targets() []target { return []target{l.direct, l.bouncer, l.gprxy} }

// bench runs pgbench once and notes transactions a second, and the proxy's
// processor time for each.
func (l *lab) bench(ctx context.Context, to target, speed, cost *series, password string, env []string, args ...string) error {
	before := 0.0
	var err error
	if to.pid != 0 {
		if before, err = cpuMicroseconds(to.pid); err != nil {
			return err
		}
	}
	args = append([]string{"-n", "-S", "-T", strconv.Itoa(l.seconds)}, args...)
	out, err := l.toolAs(ctx, "pgbench", to, password, env, args...)
	if err != nil {
		return err
	}
	tps, transactions := figure(tpsLine, out), figure(txLine, out)
	if transactions == 0 {
		return fmt.Errorf("pgbench through %s: no transactions\n%s", to.name, out)
	}
	speed.add(to.name, tps)
	if to.pid == 0 {
		return nil
	}
	after, err := cpuMicroseconds(to.pid)
	cost.add(to.name, (after-before)/transactions)
	return err
}

func figure(line *regexp.Regexp, out string) float64 {
	m := line.FindStringSubmatch(out)
	if m == nil {
		return 0
	}
	return parse(m[1])
}

// loginClients log in at once. Each needs a thread of pgbench: it waits for its login.
const loginClients = "8"

// measureLogins connects anew for each transaction.
func measureLogins(ctx context.Context, l *lab) (rows []row, err error) {
	token := l.issuer.Token(authtest.Claims{"email": "bench@example.com", "roles": []string{"reader"}})
	ways := []struct{ what, password string }{{"with a password", benchPassword}, {"with a token", token}}
	for _, way := range ways {
		var speed, cost series
		for range l.rounds {
			for _, to := range l.targets() {
				password := way.password
				if to.name != "gprxy" {
					password = benchPassword
				}
				if err := l.bench(ctx, to, &speed, &cost, password, nil, "-C", "-c", loginClients, "-j", loginClients); err != nil {
					return nil, err
				}
			}
		}
		spent := cost.row(way.what, "CPU us")
		rows = append(rows, speed.row(way.what, "logins/s"), spent.aimed("at most 1000 us", spent.Gprxy <= 1000))
	}
	return append(rows, keyDerivation()), nil
}

// keyDerivation is the part of a login with a password that SCRAM-SHA-256 asks of a client by its
// design (RFC 7677: 4096 rounds). gprxy is one, to PostgreSQL, with the password it was given.
func keyDerivation() row {
	const times = 50
	began := time.Now()
	for range times {
		if _, err := pbkdf2.Key(sha256.New, benchPassword, []byte("0123456789abcdef"), 4096, sha256.Size); err != nil {
			return row{}
		}
	}
	return row{What: "of this, one SCRAM key", Unit: "CPU us", Gprxy: float64(time.Since(began).Microseconds()) / times}
}

func measureCopy(ctx context.Context, l *lab) ([]row, error) {
	file := filepath.Join(l.dir, "copy.csv")
	const generate = `\copy (select i, repeat('x', 90) from generate_series(1, 1000000) i) to '%s' csv`
	if _, err := l.tool(ctx, "psql", l.direct, "-c", "create table copied (i int, t text)", "-c", fmt.Sprintf(generate, file)); err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	megabytes := float64(info.Size()) / 1e6
	var in, out series
	for range l.rounds {
		for _, to := range l.targets() {
			for _, way := range []struct {
				s       *series
				command string
			}{{&in, `\copy copied from '` + file + `' csv`}, {&out, `\copy copied to '/dev/null' csv`}} {
				began := time.Now()
				if _, err := l.tool(ctx, "psql", to, "-c", way.command); err != nil {
					return nil, err
				}
				way.s.add(to.name, megabytes/time.Since(began).Seconds())
			}
			if _, err := l.tool(ctx, "psql", l.direct, "-c", "truncate copied"); err != nil {
				return nil, err
			}
		}
	}
	rows := []row{in.row("in, 100 byte rows", "MB/s"), out.row("out, 100 byte rows", "MB/s")}
	for i, r := range rows {
		rows[i] = r.aimed("at least 0.9x direct", r.ToDirect >= 0.9)
	}
	return rows, nil
}

func (l *lab) config(to target, sslmode string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig("sslmode=" + sslmode)
	if err != nil {
		return nil, err
	}
	config.Host, config.Port, config.User, config.Password, config.Database = "127.0.0.1", uint16(to.port), benchUser, benchPassword,
		"postgres"
	config.Fallbacks = nil
	return config, nil
}

func (l *lab) connect(ctx context.Context, to target) (*pgx.Conn, error) {
	config, err := l.config(to, "disable")
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

func measureCancel(ctx context.Context, l *lab) ([]row, error) {
	var delay series
	for range 30 * l.rounds {
		for _, to := range l.targets() {
			took, err := l.cancelOnce(ctx, to)
			if err != nil {
				return nil, err
			}
			delay.add(to.name, took.Seconds()*1000)
		}
	}
	slow := row{What: "pg_sleep, p99", Unit: "ms", Direct: quantile(delay.direct, 0.99), Bouncer: quantile(delay.bouncer, 0.99),
		Gprxy: quantile(delay.gprxy, 0.99)}
	return []row{delay.row("pg_sleep, p50", "ms"), slow}, nil
}

func (l *lab) cancelOnce(ctx context.Context, to target) (time.Duration, error) {
	conn, err := l.connect(ctx, to)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	ended := make(chan time.Time, 1)
	go func() { // ends with the statement
		conn.PgConn().Exec(ctx, "select pg_sleep(30)").ReadAll()
		ended <- time.Now()
	}()
	if err := l.awaitSleep(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := conn.PgConn().CancelRequest(ctx); err != nil {
		return 0, err
	}
	return (<-ended).Sub(began), nil
}

// awaitSleep asks PostgreSQL until a statement sleeps. Through PgBouncer the pid
// that the client knows is not the backend's, so any will do: nothing else sleeps.
func (l *lab) awaitSleep(ctx context.Context) error {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for range 1000 {
		rows, err := l.postgres.Query(ctx, "postgres", "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and state "+
			"= 'active'")
		if err != nil {
			return err
		}
		if rows[0][0] != "0" {
			return nil
		}
		<-again.C
	}
	return errors.New("the statement to cancel does not run")
}
