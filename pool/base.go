// The pgx configuration all connections start from: nothing of it comes from the environment or from files.
package pool

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// neutral names every setting that pgconn would otherwise look up in PG* variables, ~/.pgpass or ~/.postgresql, with a
// placeholder. The fields that matter are set afterwards; client input is never formatted into such a string.
const neutral = "host=localhost port=5432 user=placeholder password=placeholder dbname=placeholder" +
	" sslmode=disable sslcert='' sslkey='' sslrootcert='' sslcertmode=disable sslnegotiation=postgres passfile=''" +
	" connect_timeout=10 target_session_attrs=any min_protocol_version=3.0 max_protocol_version=3.0" +
	" channel_binding=prefer require_auth=''"

// maxPoolConns is pgxpool's own limit, never reached: the limits are kept above the subpools.
const maxPoolConns = 1 << 20

// baseConfig returns the configuration a subpool's pool is copied from.
func baseConfig(c Config) (*pgxpool.Config, error) {
	text := neutral
	if os.Getenv("PGSERVICE") != "" {
		// A named service is looked up even if everything is given, and an unknown one is an error: name our own.
		file, err := emptyService()
		if err != nil {
			return nil, err
		}
		defer os.Remove(file)
		text += " service=gprxy servicefile='" + file + "'"
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection settings: %w", err)
	}
	neutralise(config.ConnConfig, c.ConnectTimeout)
	config.ConnConfig.Host, config.ConnConfig.Port = c.Host, c.Port // dialer has its own; errors name these
	config.MaxConns = maxPoolConns
	config.MinConns, config.MinIdleConns = 0, 0
	config.MaxConnLifetime = c.MaxLifetime
	config.MaxConnLifetimeJitter = c.MaxLifetime / 10 // not all at once
	config.MaxConnIdleTime = c.MaxIdleTime
	config.HealthCheckPeriod = min(max(min(c.MaxIdleTime, c.MaxLifetime)/2, 10*time.Millisecond), time.Minute)
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false } // socket.quiet instead
	return config, nil
}

// neutralise sets what ParseConfig may have taken from elsewhere, and turns everything off that the pools do themselves.
func neutralise(c *pgx.ConnConfig, connectTimeout time.Duration) {
	c.User, c.Password, c.Database = "", "", ""
	c.RuntimeParams = map[string]string{}
	c.Fallbacks = nil // one login a connection: a second one would send the password again
	c.TLSConfig = nil // done by dialer
	c.ConnectTimeout = connectTimeout
	c.MaxProtocolMessageBodyLen = maxMessage
	c.KerberosSpn, c.KerberosSrvName = "", ""
	c.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	c.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {} // else pgx collects them
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c.StatementCacheCapacity = 0
	c.DescriptionCacheCapacity = 0
	c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
}

// emptyService writes a service file with one service that sets nothing.
func emptyService() (string, error) {
	file, err := os.CreateTemp("", "gprxy-service-*")
	if err != nil {
		return "", fmt.Errorf("shielding the connection settings from PGSERVICE (unset it): %w", err)
	}
	defer file.Close()
	if _, err := file.WriteString("[gprxy]\n"); err != nil {
		return "", fmt.Errorf("shielding the connection settings from PGSERVICE (unset it): %w", err)
	}
	return file.Name(), nil
}
