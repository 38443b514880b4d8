// Statements as the superuser, over the Unix socket.
package pooltest

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Exec runs SQL, several statements if need be, as the superuser in the database postgres.
func (s *Server) Exec(ctx context.Context, sql string) error {
	_, err := s.Query(ctx, "postgres", sql)
	return err
}

// Query runs SQL as the superuser in a database and returns the rows of the last statement as text; NULL is "".
func (s *Server) Query(ctx context.Context, database, sql string) ([][]string, error) {
	config, err := pgconn.ParseConfig("host=/ port=1 user=x password=x dbname=x sslmode=disable target_session_attrs=any")
	if err != nil {
		return nil, fmt.Errorf("preparing the connection: %w", err)
	}
	config.Host, config.Port, config.User, config.Database = s.SocketDir, s.Port, Superuser, database
	config.Password = s.SuperuserPassword
	config.RuntimeParams = map[string]string{"application_name": "pooltest"}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting as superuser: %w", err)
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("running the statement: %w", err)
	}
	var rows [][]string
	if len(results) > 0 {
		for _, values := range results[len(results)-1].Rows {
			row := make([]string, len(values))
			for i, v := range values {
				row[i] = string(v)
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// CreateUser creates a role that may log in. Its password is stored as MD5 where Options.UserAuth asks for md5:
// PostgreSQL uses SCRAM for an md5 line otherwise.
func (s *Server) CreateUser(ctx context.Context, name, password string) error {
	encryption := "scram-sha-256"
	if s.options.UserAuth[name] == "md5" || (s.options.Auth == "md5" && s.options.UserAuth[name] == "") {
		encryption = "md5"
	}
	return s.Exec(ctx, fmt.Sprintf("SET password_encryption = '%s'; CREATE ROLE \"%s\" LOGIN PASSWORD '%s'",
		encryption, strings.ReplaceAll(name, `"`, `""`), strings.ReplaceAll(password, "'", "''")))
}
