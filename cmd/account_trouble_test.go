package cmd

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gprxy/auth"
	"gprxy/cmd/settings"
	"gprxy/pool"
)

// Each cause has its own words, says who is concerned, and what to do.
func TestTroubleWithAnAccountIsTold(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		err          error
		what, remedy string
	}{
		{&pgconn.PgError{Code: "28P01"}, "every login with role READER will be refused", `ALTER ROLE "app" PASSWORD`},
		{&pgconn.PgError{Code: "28000"}, "does not let gprxy in", "pg_hba.conf"},
		{&pool.UnreachableError{Err: x509.UnknownAuthorityError{}}, "its certificate is not trusted: every login will be refused",
			"DB_SSLROOTCERT"},
		{&pool.UnreachableError{Err: errors.New("away")}, "until it answers", "DB_HOST"},
		{&pgconn.PgError{Code: "3D000"}, "logins with role READER may be refused", "error"},
	} {
		what, remedy := accountTrouble(row.err, "app", "with role READER")
		if !strings.Contains(what, row.what) || !strings.Contains(remedy, row.remedy) {
			t.Errorf("%v: %q, %q, want %q and %q", row.err, what, remedy, row.what, row.remedy)
		}
	}
}

func TestWhomAnAccountServes(t *testing.T) {
	t.Parallel()
	p := &proxy{settings: settings.Settings{PasswordLogin: true, PasswordAccount: settings.AccountService, ServiceUser: "app",
		Roles: auth.RolesConfig{Mapping: map[string]auth.Login{"B": {User: "app"}, "A": {User: "app"}, "C": {User: "other"}}}}}
	for account, want := range map[string]string{"app": "with role A or B and with a password", "other": "with role C"} {
		if got := p.servedBy(account); got != want {
			t.Errorf("%s serves %q, want %q", account, got, want)
		}
	}
}

// A start with an account's wrong password says that nobody will get in with its role.
func TestAStartWithAWrongPasswordSaysWhoIsConcerned(t *testing.T) {
	i := newInstall(t)
	r := i.start("ROLE_MAPPING_READER=app_reader:tops3cret")
	const want = "every login with role READER will be refused"
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(r.output(), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say %q:\n%s", want, r.output())
		}
	}
	if strings.Contains(r.output(), "tops3cret") {
		t.Error("the log has the password")
	}
}
