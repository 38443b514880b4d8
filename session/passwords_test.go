package session_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/session"
)

// oddPassword is one that PostgreSQL prepares before it keeps it, or that looks as if it did.
type oddPassword struct{ name, set, typed string }

// Passwords by what SASLprep (RFC 4013) does with them; typed is set where it is another than was set.
var oddPasswords = []oddPassword{
	{name: "ASCII", set: `pa'ss "word" \`},
	{name: "a fraction", set: "½ litre"},
	{name: "a fraction, typed in pieces", set: "½", typed: "1⁄2"},
	{name: "a ligature", set: "oﬃce"},
	{name: "full width", set: "ＡＢＣ１２３"},
	{name: "half width kana", set: "ｶﾞ-secret"},
	{name: "a superscript", set: "E=mc²"},
	{name: "a circled digit", set: "①②③"},
	{name: "the sign for trade marks", set: "secret™"},
	{name: "a soft hyphen", set: "se\u00adcret"},
	{name: "a soft hyphen, left out", set: "se\u00adcret", typed: "secret"},
	{name: "soft hyphens alone", set: "\u00ad\u00ad"},
	{name: "a joiner", set: "se\u200dcret"},
	{name: "a no-break space, typed as a space", set: "se\u00a0cret", typed: "se cret"},
	{name: "an ideographic space", set: "se\u3000cret"},
	{name: "a zero width space", set: "se\u200bcret"},
	{name: "an accent, typed as its own", set: "café", typed: "cafe\u0301"},
	{name: "right to left", set: "סוד"},
	{name: "both directions and a no-break space", set: "אa\u00a0½"},
	{name: "an emoji of today, and a fraction", set: "🫠½"},
	{name: "private use", set: "\ue000½"},
	{name: "the sign for what cannot be read", set: "\ufffdcafe\u0301"},
	{name: "another password", set: "½ litre", typed: "½ liter"},
}

// Whoever can log in to PostgreSQL with psql can log in through gprxy, whatever the password is made of; and who
// cannot, cannot. So can accounts whose password is in the settings.
func TestPasswordsOfAllKinds(t *testing.T) {
	t.Parallel()
	type login struct {
		oddPassword
		kind, user string
	}
	var logins []login
	accounts := map[string]auth.Login{}
	for i, odd := range oddPasswords {
		for kind, group := range map[string]string{"scram-sha-256": "", "md5": " IN ROLE md5_people"} {
			if kind == "md5" && i%3 != 1 {
				continue // these are not prepared: one in three is enough
			}
			user := fmt.Sprintf("odd_%s_%d", kind[:3], i)
			admin(t, fmt.Sprintf("SET password_encryption = '%s'; CREATE ROLE %s LOGIN PASSWORD '%s'%s", kind, user,
				strings.ReplaceAll(odd.set, "'", "''"), group))
			accounts[user] = auth.Login{User: user, Password: auth.Secret(odd.entered())}
			logins = append(logins, login{odd, kind, user})
		}
	}
	roles, err := auth.NewRoles(auth.RolesConfig{Mapping: accounts})
	if err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, func(o *options) {
		o.session.Roles, o.session.Passwords, o.pool.MaxTotal = roles, session.PasswordSelf, 4
	})
	failed := 0
	for _, l := range logins {
		direct := psqlLogsIn(t, l.user, l.entered())
		if !direct && l.typed == "" {
			t.Errorf("%s, %s: psql cannot log in", l.name, l.kind)
		}
		if !direct {
			failed++
		}
		if got := logsIn(t, p.dsn(l.user, l.entered())); got != direct {
			t.Errorf("%s, %s: the person logs in: %v, with psql: %v", l.name, l.kind, got, direct)
		}
		if got := logsIn(t, p.dsn("bob", token("bob@example.com", l.user))); got != direct {
			t.Errorf("%s, %s: the account logs in: %v, with psql: %v", l.name, l.kind, got, direct)
		}
	}
	if failed == 0 {
		t.Error("every wrong password was right")
	}
}

func (p oddPassword) entered() string {
	if p.typed != "" {
		return p.typed
	}
	return p.set
}

// psqlLogsIn asks libpq, without gprxy.
func psqlLogsIn(t *testing.T, user, password string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), postgres.Tool(t, "psql"), "-Xw",
		fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=%s", postgres.Port, user, database), "-c", "select 1")
	cmd.Env = []string{"PGPASSWORD=" + password, "HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "password authentication failed") {
		t.Errorf("psql as %s: %v: %s", user, err, out)
	}
	return err == nil
}

func logsIn(t *testing.T, dsn string) bool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err == nil {
		conn.Close(t.Context())
		return true
	}
	if _, ok := errors.AsType[*pgconn.PgError](err); !ok {
		t.Errorf("the login failed without an answer: %v", err)
	}
	return false
}
