// Statements as the superuser, over the Unix socket.
package pooltest

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
)

// Exec runs SQL, several statements if need be, as the superuser in the database postgres.
func (s *Server) Exec(ctx context.Context, sql string) error {
	_, err := s.Query(ctx, "postgres", sql)
	return err
}

// Query runs SQL as the superuser in a database and returns the rows of the last statement as text; NULL is "". Questions share a
// connection, for tests ask the same one until something is so; everything else has a connection of its own.
func (s *Server) Query(ctx context.Context, database, sql string) ([][]string, error) {
	conn, err := s.kept.take(ctx, database), error(nil)
	if conn == nil {
		if conn, err = s.connect(ctx, database); err != nil {
			return nil, err
		}
	}
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil || !isQuestion(sql) || !s.kept.keep(database, conn) {
		defer conn.Close(ctx)
	}
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

// connect connects as the superuser.
func (s *Server) connect(ctx context.Context, database string) (*pgconn.PgConn, error) {
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
	return conn, nil
}

// isQuestion tells whether SQL asks, and leaves nothing behind in its session.
func isQuestion(sql string) bool {
	sql = strings.ToLower(strings.TrimSpace(sql))
	return strings.HasPrefix(sql, "select ") && !strings.Contains(sql, "set_config") && !strings.Contains(sql, "lock") &&
		!strings.Contains(sql, ";")
}

// keptConns are idle connections of the superuser, one for each database.
type keptConns struct {
	mu    sync.Mutex
	conns map[string]*pgconn.PgConn // guarded by mu
}

// take returns nil if there is none that lives.
func (k *keptConns) take(ctx context.Context, database string) *pgconn.PgConn {
	k.mu.Lock()
	conn := k.conns[database]
	delete(k.conns, database)
	k.mu.Unlock()
	if conn != nil && conn.Ping(ctx) != nil {
		conn.Close(context.Background()) // it is dead: nothing is waited for
		return nil
	}
	return conn
}

func (k *keptConns) keep(database string, conn *pgconn.PgConn) (kept bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conns[database] != nil {
		return false
	}
	if k.conns == nil {
		k.conns = map[string]*pgconn.PgConn{}
	}
	k.conns[database] = conn
	return true
}

func (k *keptConns) close(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, conn := range k.conns {
		conn.Close(ctx)
	}
	clear(k.conns)
}

// CreateUser creates a role that may log in. Its password is stored as MD5 where Options.UserAuth asks for md5:
// PostgreSQL uses SCRAM for an md5 line otherwise.
func (s *Server) CreateUser(ctx context.Context, name, password string) error {
	encryption := "scram-sha-256"
	if s.options.UserAuth[name] == "md5" || (s.options.Auth == "md5" && s.options.UserAuth[name] == "") {
		encryption = "md5"
	} else if isASCII(password) {
		password = scramSecret(password)
	}
	return s.Exec(ctx, fmt.Sprintf("SET password_encryption = '%s'; CREATE ROLE \"%s\" LOGIN PASSWORD '%s'",
		encryption, strings.ReplaceAll(name, `"`, `""`), strings.ReplaceAll(password, "'", "''")))
}

// scramIterations is less than PostgreSQL's 4096, which make a login slow on purpose: tests log in thousands of times, under the
// race detector.
const scramIterations = 64

// scramSecret is what PostgreSQL keeps of a password, as the server itself would compute it (RFC 5802, section 3).
func scramSecret(password string) string {
	salt := []byte(rand.Text())
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramIterations, sha256.Size)
	if err != nil {
		return password // the server computes it then
	}
	keyed := func(text string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(keyed("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, encode(salt), encode(stored[:]), encode(keyed("Server Key")))
}

// isASCII tells whether the password is the same for everybody: others are prepared first (SASLprep).
func isASCII(password string) bool {
	return !strings.ContainsFunc(password, func(r rune) bool { return r >= utf8.RuneSelf })
}
