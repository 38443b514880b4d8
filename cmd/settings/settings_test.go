// The settings, as a specification: what may be given, where it comes from, and what a mistake is told.

package settings

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"gprxy/auth"
)

// enough is the least environment that start accepts.
var enough = []string{"HOME=/home/u", "GPRXY_USER=svc", "GPRXY_PASS=pw"}

// surroundings are an environment and an empty working directory.
func surroundings(t *testing.T, variables ...string) Sources {
	t.Helper()
	return Sources{Variables: variables, Dir: t.TempDir()}
}

func load(t *testing.T, env Sources, flags ...string) (Settings, []string, error) {
	t.Helper()
	fs := pflag.NewFlagSet("start", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse(flags); err != nil {
		t.Fatal(err)
	}
	env.Flags = fs
	return Load(env)
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	got, warnings, err := load(t, surroundings(t, enough...))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("error %v, warnings %q", err, warnings)
	}
	want := Settings{
		ProxyHost: "127.0.0.1", ProxyPort: 7777, SocketMode: 0o777, RequireTLS: "auto",
		DBHost: "localhost", DBPort: 5432, DBSSLMode: "prefer",
		ServiceUser: "svc", ServicePassword: "pw", PasswordLogin: true, PasswordAccount: "service",
		SignOn: SignOn{
			ClientAuth: "password", Scopes: []string{"openid", "profile", "email"}, DeviceLoginMax: 100,
			OnExpiry: "allow", ExpiryGrace: time.Minute, UserCase: "fold", AudienceClaim: "aud", ClockSkew: 30 * time.Second,
		},
		MaxClients: 1000, LoginMax: 1000, LoginMaxPerAddress: 500, LoginMaxFailures: 5, LoginFailureMemory: time.Minute,
		MaxSessionGrace: time.Minute,
		PoolMaxConns:    20, PoolMaxTotal: 80, PoolMaxEmptyTime: 3 * time.Second, PoolAcquireTimeout: 10 * time.Second, PoolMaxLifetime: time.Hour,
		DBRestartWait: 5 * time.Second, PoolMaxIdleTime: 10 * time.Minute,
		IdentityStamp: "setting", EventLog: "/home/u/.gprxy/events.db",
		Audit: Audit{Statements: StatementsOff, Durability: "async", MaxText: 1 << 20, CheckpointInterval: time.Hour,
			RetentionMin: 30 * 24 * time.Hour},
		LogLevel: "production", LogFormat: "text",
		ShutdownTimeout: 30 * time.Second, LoginTimeout: time.Minute,
	}
	want.Roles.Mapping = got.Roles.Mapping // a map cannot be compared
	if len(got.Roles.Mapping) != 0 || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) || got.ServicePassword != "pw" {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
	if got.TokenLogin() || got.ProxyHost != "127.0.0.1" {
		t.Errorf("token login %v, address %s", got.TokenLogin(), got.ProxyHost)
	}
}

func TestPrecedence(t *testing.T) {
	for _, row := range []struct {
		name               string
		flag, env, dotenv  string
		givenFlag, givenEn bool
		want               string
	}{
		{name: "the flag beats all", flag: "f", env: "e", dotenv: "d", givenFlag: true, givenEn: true, want: "f"},
		{name: "the environment beats .env", env: "e", dotenv: "d", givenEn: true, want: "e"},
		{name: ".env beats the default", dotenv: "d", want: "d"},
		{name: "the default is last", want: "localhost"},
		{name: "an empty flag means the default", givenFlag: true, env: "e", givenEn: true, dotenv: "d", want: "localhost"},
		{name: "an empty variable means the default", givenEn: true, dotenv: "d", want: "localhost"},
	} {
		t.Run(row.name, func(t *testing.T) {
			env := surroundings(t, enough...)
			var flags []string
			if row.givenFlag {
				flags = append(flags, "--db-host="+row.flag)
			}
			if row.givenEn {
				env.Variables = append(env.Variables, "DB_HOST="+row.env)
			}
			if row.dotenv != "" {
				write(t, filepath.Join(env.Dir, ".env"), "DB_HOST="+row.dotenv+"\n")
			}
			got, _, err := load(t, env, flags...)
			if err != nil || got.DBHost != row.want {
				t.Errorf("DBHost %q, error %v; want %q", got.DBHost, err, row.want)
			}
		})
	}
}

var oidc = []string{"OIDC_ISSUER=https://issuer.example", "AUDIENCE=api", "ROLE_MAPPING_READER=app_reader:pw"}

// wrongSettings is what start refuses, one row per rule.
var wrongSettings = []struct {
	given   []string
	without string   // a variable of enough to leave out
	want    []string // all problems, as "VARIABLE wrong"
	instead string   // stands in what to type instead
}{
	{given: nil, without: "GPRXY_USER", want: []string{"GPRXY_USER is not set"}, instead: "PASSWORD_ACCOUNT=self"},
	{given: nil, without: "GPRXY_PASS", want: []string{"GPRXY_PASS is not set"}, instead: "GPRXY_PASS_FILE"},
	{given: []string{"PROXY_PORT=70000"}, want: []string{`PROXY_PORT is "70000"`}, instead: "from 0 to 65535"},
	{given: []string{"DB_PORT=0"}, want: []string{`DB_PORT is "0"`}, instead: "from 1 to 65535"},
	{given: []string{"DB_PORT=five"}, want: []string{`DB_PORT is "five"`}},
	{given: []string{"PROXY_HOST=127.0.0.1:7777"}, want: []string{`PROXY_HOST is "127.0.0.1:7777", which holds a port`}, instead: "7777"},
	{given: []string{"PROXY_HOST=127.0.0.1,,::1"}, want: []string{`PROXY_HOST has an empty entry in its list`}, instead: "one comma"},
	{given: []string{"PROXY_HOST=127.0.0.1 ::1"}, want: []string{`PROXY_HOST is "127.0.0.1 ::1", which holds a space`},
		instead: "separate addresses by commas"},
	{given: []string{"PROXY_HOST=postgres://u:geheim@h/"}, want: []string{`PROXY_HOST holds more than a host, such as a whole URL`},
		instead: "PROXY_PORT's"},
	{given: []string{"PROXY_HOST=127.0.0.1,127.0.0.1"}, want: []string{`PROXY_HOST names "127.0.0.1" twice`}, instead: "once"},
	{given: []string{"PROXY_HOST=*"}, want: []string{`PROXY_HOST is "*"`}, instead: "0.0.0.0"},
	{given: []string{"PROXY_HOST=/tmp/.s.PGSQL.7777"}, want: []string{`PROXY_HOST is "/tmp/.s.PGSQL.7777", which is the socket itself`},
		instead: "set it to its folder, /tmp, and PROXY_PORT to 7777"},
	{given: []string{"PROXY_HOST=/no/such/folder"},
		want:    []string{`PROXY_HOST names a folder that cannot be used: stat /no/such/folder: no such file or directory`},
		instead: "mkdir /no/such/folder"},
	{given: []string{"PROXY_HOST=/etc/passwd"}, want: []string{`PROXY_HOST names "/etc/passwd", which is no folder`}, instead: "folder"},
	{given: []string{"PROXY_HOST=/tmp", "PROXY_PORT=0"}, want: []string{`PROXY_PORT is 0, but a Unix socket's name has a port in it`},
		instead: "7777"},
	{given: []string{"PROXY_SOCKET_PERMISSIONS=rwx"}, want: []string{`PROXY_SOCKET_PERMISSIONS is "rwx"`}, instead: "0770"},
	{given: []string{"PROXY_HOST=[::1]"}, want: []string{`PROXY_HOST is "[::1]"`}, instead: "without brackets: ::1"},
	{given: []string{"DB_HOST=postgres://u:topsecret@db"}, want: []string{"DB_HOST holds more than a host, such as a whole URL"}},
	{given: []string{"DB_HOST=u:topsecret@db"}, want: []string{"DB_HOST holds more than a host, such as a whole URL"}},
	{given: []string{"DB_HOST=db.example.com:5433"}, want: []string{`DB_HOST is "db.example.com:5433", which holds a port`},
		instead: "set it to db.example.com, and DB_PORT to 5433"},
	{given: []string{"DB_HOST=[::1]:5433"}, want: []string{`DB_HOST is "[::1]:5433", which holds a port`},
		instead: "set it to ::1, and DB_PORT to 5433"},
	{given: []string{"DB_HOST=:5432"}, want: []string{`DB_HOST is ":5432", which holds a port and no host`}},
	{given: []string{"DB_HOST=db:"}, want: []string{`DB_HOST is "db:", which ends in a colon`}, instead: "set it to db"},
	{given: []string{"DB_HOST=[fe80::1]"}, want: []string{`DB_HOST is "[fe80::1]"`}, instead: "without brackets: fe80::1"},
	{given: []string{"DB_HOST=  "}, want: []string{"DB_HOST holds nothing but blanks"}, instead: "localhost"},
	{given: []string{"PROXY_HOST= "}, want: []string{"PROXY_HOST holds nothing but blanks"}, instead: "127.0.0.1"},
	{given: []string{"DB_HOST=db1 db2"}, want: []string{`DB_HOST is "db1 db2", which holds a space`}},
	{given: []string{"DB_HOST=db1,db2"}, want: []string{`DB_HOST is "db1,db2", which is a list`}},
	{given: []string{"DB_HOST=db1:5432,db2:5432"}, want: []string{`DB_HOST is "db1:5432,db2:5432", which is a list`}},
	{given: []string{"DB_HOST=,db"}, want: []string{`DB_HOST is ",db", which is a list`}},
	{given: []string{"DB_HOST=host=db password=topsecret"}, want: []string{"DB_HOST holds more than a host, such as a whole URL"}},
	{given: []string{"DB_HOST=db/app"}, want: []string{`DB_HOST is "db/app", which holds more than a host`}},
	{given: []string{"DB_HOST=10.0.0.5/32"}, want: []string{`DB_HOST is "10.0.0.5/32", which holds more than a host`}},
	{given: []string{"DB_HOST=~/pg"}, want: []string{`DB_HOST is "~/pg"`}, instead: "/var/run/postgresql"},
	{given: []string{"DB_HOST=./pg"}, want: []string{`DB_HOST is "./pg"`}, instead: "/var/run/postgresql"},
	{given: []string{"DB_HOST=/tmp/.s.PGSQL.5433"}, want: []string{`DB_HOST is "/tmp/.s.PGSQL.5433", which is the socket itself`},
		instead: "/tmp, and DB_PORT to 5433"},
	{given: []string{"DB_HOST=/tmp,/run"}, want: []string{`DB_HOST is "/tmp,/run", which is a list`}},
	{given: []string{"DB_HOST=0.0.0.0"}, want: []string{`DB_HOST is "0.0.0.0", which is where servers listen, and no server`},
		instead: "localhost"},
	{given: []string{"DB_HOST=::"}, want: []string{`DB_HOST is "::", which is where servers listen, and no server`}},
	{given: []string{"DB_HOST=*"}, want: []string{`DB_HOST is "*", which is no host name`}},
	{given: []string{"DB_HOST=10.0.0.256"}, want: []string{`DB_HOST is "10.0.0.256", which is no address`}},
	{given: []string{"DB_HOST=10.0.5"}, want: []string{`DB_HOST is "10.0.5", which is no address`}},
	{given: []string{`DB_HOST="db"`}, want: []string{`DB_HOST is "\"db\"", which is no host name`}},
	{given: []string{"DB_HOST=-h"}, want: []string{`DB_HOST is "-h", which is no host name`}},
	{given: []string{"DB_HOST=db..example.com"}, want: []string{`DB_HOST is "db..example.com", which is no host name`}},
	{given: []string{"OIDC_ISSUER=ftp://u:topsecret@i", "AUDIENCE=a"}, want: []string{"OIDC_ISSUER holds a user or a password"}},
	{given: []string{"DB_SSLMODE=verify"}, want: []string{`DB_SSLMODE is "verify"`},
		instead: "disable, allow, prefer, require, verify-ca, verify-full"},
	{given: []string{"REQUIRE_TLS=yes"}, want: []string{`REQUIRE_TLS is "yes"`}, instead: "auto, always, never"},
	{given: []string{"REQUIRE_TLS=always"}, want: []string{"REQUIRE_TLS is always, but there is no certificate, so nobody could log in"},
		instead: "PROXY_CERT=auto"},
	{given: []string{"MAX_CLIENTS=0"}, want: []string{`MAX_CLIENTS is "0"`}, instead: "from 1 to 1000000"},
	{given: []string{"TRUSTED_PROXIES=lb.example.com"}, want: []string{`TRUSTED_PROXIES has "lb.example.com"`}, instead: "10.1.0.0/16"},
	{given: []string{"TRUSTED_PROXIES=10.0.0.7,"}, want: []string{`TRUSTED_PROXIES has ""`}},
	{given: []string{"TRUSTED_PROXIES=10.0.0.7/16"},
		want: []string{`TRUSTED_PROXIES has "10.0.0.7/16", which names one machine and a whole network`}, instead: "10.0.0.0/16 for the network"},
	{given: []string{"PROXY_KEY=/k"}, want: []string{"PROXY_CERT is not set, but PROXY_KEY is"}},
	{given: []string{"PROXY_CERT=/c"}, want: []string{"PROXY_KEY is not set, but PROXY_CERT is"}},
	{given: []string{"PROXY_CERT=auto", "PROXY_KEY=/k"}, want: []string{"PROXY_KEY is set, but PROXY_CERT=auto makes its own key"}},
	{given: []string{"PROXY_CERT=/c", "PROXY_KEY=../../listener/testdata/encrypted-pkcs8.key"},
		want: []string{"PROXY_KEY names ../../listener/testdata/encrypted-pkcs8.key, which is encrypted with a password, and gprxy takes keys " +
			"without one"}, instead: "openssl pkey -in"},
	{given: []string{"PROXY_CERT=/c", "PROXY_KEY=/k"}, want: []string{"PROXY_CERT and PROXY_KEY cannot be used: open /c: no such file or " +
		"directory"}},
	{given: []string{"DB_SSLROOTCERT=/none.pem"}, want: []string{"DB_SSLROOTCERT cannot be read: open /none.pem: no such file or directory"}},
	{given: []string{"POOL_MAX_CONNS=0"}, want: []string{`POOL_MAX_CONNS is "0"`}, instead: "from 1"},
	{given: []string{"POOL_ACQUIRE_TIMEOUT=10"}, want: []string{`POOL_ACQUIRE_TIMEOUT is "10", which has no unit`}, instead: "write 10s"},
	{given: []string{"AUDIT_MASK_COLUMNS=ssn,users.iban"},
		want: []string{`AUDIT_MASK_COLUMNS holds "users.iban", which is not a name that can be masked`}, instead: "without a schema"},
	{given: []string{"AUDIT_MASK_COLUMNS=ssn,"}, want: []string{`AUDIT_MASK_COLUMNS holds "", which is not a name that can be masked`}},
	{given: []string{"AUDIT_MASK_COLUMNS=no"}, want: []string{`AUDIT_MASK_COLUMNS holds "no", which is not a name that can be masked`},
		instead: "3 to 63"},
	{given: []string{"POOL_STATELESS_EXTENSIONS=postgis,,x"},
		want: []string{`POOL_STATELESS_EXTENSIONS holds "", which is not the name of an extension`}, instead: "with commas"},
	{given: []string{"POOL_STATELESS_EXTENSIONS=postgis,a'b"},
		want: []string{`POOL_STATELESS_EXTENSIONS holds "a'b", which is not the name of an extension`}},
	{given: []string{"LOGIN_TIMEOUT=0s"}, want: []string{`LOGIN_TIMEOUT is "0s"`}, instead: "from 1s to 10m"},
	{given: []string{"SHUTDOWN_TIMEOUT=soon"}, want: []string{`SHUTDOWN_TIMEOUT is "soon"`}, instead: "500ms"},
	{given: []string{"IDENTITY_STAMP=user"}, want: []string{`IDENTITY_STAMP is "user"`}, instead: "setting, application_name, both, off"},
	{given: []string{"PASSWORD_LOGIN=true"}, want: []string{`PASSWORD_LOGIN is "true"`}, instead: "on, off"},
	{given: []string{"PASSWORD_LOGIN=off"}, want: []string{"PASSWORD_LOGIN is off and OIDC_ISSUER is not set, so nobody could log in"}},
	{given: []string{"LOG_LEVEL=info"}, want: []string{`LOG_LEVEL is "info"`}, instead: "production, debug"},
	{given: []string{"LOG_FORMAT=xml"}, want: []string{`LOG_FORMAT is "xml"`}, instead: "text, json, logfmt"},
	{given: []string{"OIDC_ISSUER=issuer.example", "AUDIENCE=a"}, want: []string{`OIDC_ISSUER is "issuer.example"`}, instead: "https://"},
	{given: []string{"OIDC_ISSUER=http://issuer.example", "AUDIENCE=a"},
		want: []string{`OIDC_ISSUER is "http://issuer.example", which is not encrypted`}},
	{given: []string{"AUTH0_TENANT=dev", "AUDIENCE=a"}, want: []string{`AUTH0_TENANT is "dev"`}, instead: "whole domain"},
	{given: []string{"AUTH0_TENANT=https://a.auth0.com/", "AUDIENCE=a"}, want: []string{`AUTH0_TENANT is "https://a.auth0.com/"`},
		instead: "a.auth0.com"},
	{given: append([]string{"AUTH0_TENANT=a.auth0.com"}, oidc...),
		want: []string{"AUTH0_TENANT stands for https://a.auth0.com/, but OIDC_ISSUER is https://issuer.example"}},
	{given: []string{oidc[0], oidc[2]}, want: []string{"AUDIENCE is not set, but OIDC_ISSUER is"}},
	{given: oidc[:2], want: []string{"ROLE_MAPPING_<ROLE> is not set, so no token could get an account"}},
	{given: append([]string{"DEFAULT_ROLE=writer"}, oidc...), want: []string{"DEFAULT_ROLE is writer, which is not mapped"},
		instead: "ROLE_MAPPING_WRITER="},
	{given: append([]string{"DEFAULT_ROLE=raeder"}, oidc...), want: []string{"DEFAULT_ROLE is raeder, which is not mapped"},
		instead: "did you mean READER?"},
	{given: append([]string{"REQUIRED_CLAIMS=hd"}, oidc...),
		want: []string{`REQUIRED_CLAIMS cannot be read: "hd" is not a claim and its value`}, instead: "hd=example.com"},
	{given: append([]string{"CLOCK_SKEW=30"}, oidc...), want: []string{`CLOCK_SKEW is "30", which has no unit`}},
	{given: append([]string{"USER_CASE=lower"}, oidc...), want: []string{`USER_CASE is "lower"`}, instead: "fold, exact"},
	{given: append([]string{"ROLE_PRIORITY=reader, admin"}, oidc...), want: []string{"ROLE_PRIORITY names admin, which is not mapped"}},
	{given: append([]string{"ROLE_PRIORITY=reader,READER"}, oidc...), want: []string{"ROLE_PRIORITY names READER twice"}},
	{given: append([]string{"ROLE_MAPPING_W=app_writer"}, oidc...), want: []string{"ROLE_MAPPING_W has no password"},
		instead: "username:password"},
	{given: append([]string{"ROLE_MAPPING_W=app_writer:"}, oidc...), want: []string{"ROLE_MAPPING_W has no password after the colon"}},
	{given: append([]string{"ROLE_MAPPING_W=:topsecret"}, oidc...), want: []string{"ROLE_MAPPING_W has no user name before the colon"}},
	{given: append([]string{"ROLE_MAPPING_W="}, oidc...), want: []string{"ROLE_MAPPING_W is empty"}},
	{given: append([]string{"ROLE_MAPPING_reader=a:b"}, oidc...),
		want: []string{"ROLE_MAPPING_reader and ROLE_MAPPING_READER map the same role"}},
	{given: append([]string{"ROLE_MAPPING_W=app_reader:topsecret"}, oidc...),
		want: []string{"ROLE_MAPPING_W gives app_reader another password than ROLE_MAPPING_READER"}},
	{given: append([]string{"ROLE_MAPPING_W=svc:topsecret"}, oidc...),
		want: []string{"ROLE_MAPPING_W gives svc another password than GPRXY_PASS"}},
	{given: append([]string{"ROLE_MAPPING__=a:b"}, oidc...), want: []string{"ROLE_MAPPING__ names no role"}},
	{given: []string{"GPRXY_PASS_FILE=/x"}, want: []string{"GPRXY_PASS and GPRXY_PASS_FILE are both set in the environment"}},
	{given: []string{"GPRXY_USER=" + strings.Repeat("u", 64)}, want: []string{"GPRXY_USER is longer than a PostgreSQL name (63 bytes)"}},
	{given: []string{"GPRXY_PASS=a\nb"}, want: []string{"GPRXY_PASS holds a control character"}},
	{ // everything at once
		given: []string{"PROXY_PORT=x", "DB_PORT=y", "LOG_LEVEL=z", "ROLE_MAPPING_A=topsecret", "POOL_MAX_TOTAL=-1"}, without: "GPRXY_USER",
		want: []string{`PROXY_PORT is "x"`, `DB_PORT is "y"`, "ROLE_MAPPING_A has no password", `POOL_MAX_TOTAL is "-1"`, `LOG_LEVEL is "z"`,
			"GPRXY_USER is not set"},
	},
}

func TestWrongSettings(t *testing.T) {
	for _, row := range wrongSettings {
		t.Run(strings.Join(row.given, " "), func(t *testing.T) {
			variables := append([]string{}, row.given...)
			for _, v := range enough {
				name, _, _ := strings.Cut(v, "=")
				if name != row.without && !strings.Contains("\n"+strings.Join(row.given, "\n"), "\n"+name+"=") {
					variables = append(variables, v)
				}
			}
			_, _, err := load(t, surroundings(t, variables...))
			var wrong *Error
			if !errors.As(err, &wrong) {
				t.Fatalf("error %v, want a Error", err)
			}
			var got []string
			instead := ""
			for _, p := range wrong.Problems {
				got = append(got, p.Variable+" "+p.Wrong)
				instead += p.Instead + "\n"
			}
			if strings.Join(got, "\n") != strings.Join(row.want, "\n") || !strings.Contains(instead, row.instead) {
				t.Errorf("got  %q\nwant %q\ninstead %q, want %q in it", got, row.want, instead, row.instead)
			}
			if text := err.Error(); strings.Contains(text, "topsecret") {
				t.Errorf("the error holds a secret: %s", text)
			}
		})
	}
}

// Who writes the password alone into a role's file is told what belongs there.
func TestRoleFileWithoutUser(t *testing.T) {
	file := filepath.Join(t.TempDir(), "writer")
	write(t, file, "topsecret\n")
	_, _, err := load(t, surroundings(t, append([]string{"ROLE_MAPPING_W_FILE=" + file}, append(oidc, enough...)...)...))
	if err == nil || !strings.Contains(err.Error(), "ROLE_MAPPING_W_FILE names a file that has no password") ||
		!strings.Contains(err.Error(), "write username:password of the service account into the file") ||
		strings.Contains(err.Error(), "topsecret") {
		t.Errorf("told %v", err)
	}
}

func TestClaimSettings(t *testing.T) {
	env := surroundings(t, append([]string{"HOME=/h", "PASSWORD_LOGIN=off", "CLOCK_SKEW=2m", "USER_CASE=exact", "AUDIENCE_CLAIM=client_id",
		"REQUIRED_CLAIMS=hd=example.com|example.org, email_verified=true"}, oidc...)...)
	got, warnings, err := load(t, env)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("error %v, warnings %q", err, warnings)
	}
	want := []auth.RequiredClaim{{Name: "hd", Values: []string{"example.com", "example.org"}},
		{Name: "email_verified", Values: []string{"true"}}}
	if s := got.SignOn; !reflect.DeepEqual(s.Required, want) || s.ClockSkew != 2*time.Minute || s.UserCase != UserCaseExact ||
		s.AudienceClaim != "client_id" {
		t.Errorf("settings %+v", s)
	}
}

// DEFAULT_ROLE with an issuer where anybody can have an account lets anybody in.
func TestOpenIssuersAreWarnedOf(t *testing.T) {
	for issuer, open := range map[string]bool{
		"https://accounts.google.com": true, "https://dev-x.eu.auth0.com/": true, "https://login.microsoftonline.com/common/v2.0": true,
		"https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0": true,
		"https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0": false,
		"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x":                     true,
		"https://token.actions.githubusercontent.com":                                 true,
		"https://login.example.com":                                                   false, "https://accounts.google.com.example.com/": false,
	} {
		for _, with := range []string{"", "DEFAULT_ROLE=reader", "DEFAULT_ROLE=reader REQUIRED_CLAIMS=hd=example.com"} {
			env := surroundings(t, append([]string{"HOME=/h", "PASSWORD_LOGIN=off", "OIDC_ISSUER=" + issuer, "AUDIENCE=api",
				"ROLE_MAPPING_READER=app_reader:pw"}, strings.Fields(with)...)...)
			_, warnings, err := load(t, env)
			if err != nil {
				t.Fatal(err)
			}
			want := open && with == "DEFAULT_ROLE=reader"
			if got := strings.Contains(strings.Join(warnings, "\n"), "DEFAULT_ROLE (reader) lets them all in: set REQUIRED_CLAIMS"); got != want {
				t.Errorf("%s with %q: warnings %q", issuer, with, warnings)
			}
		}
	}
}

func TestRoleMapping(t *testing.T) {
	env := surroundings(t, "HOME=/h", "PASSWORD_LOGIN=off", "AUTH0_TENANT=a.eu.auth0.com", "AUDIENCE=api",
		"ROLE_MAPPING_READER=app_reader:p:w=d ", "ROLE_PRIORITY=db-writer,reader", "DEFAULT_ROLE=reader", "REQUIRED_CLAIMS=email_verified=true")
	file := write(t, filepath.Join(env.Dir, "writer"), "app_writer:from file\r\n")
	write(t, filepath.Join(env.Dir, ".env"), "ROLE_MAPPING_DB_WRITER_FILE=writer\n")
	got, warnings, err := load(t, env)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("error %v, warnings %q", err, warnings)
	}
	want := map[string]auth.Login{
		"READER":    {User: "app_reader", Password: "p:w=d "},
		"DB_WRITER": {User: "app_writer", Password: "from file"},
	}
	for role, login := range want {
		if got.Roles.Mapping[role] != login {
			t.Errorf("%s: user %q, password %q", role, got.Roles.Mapping[role].User, got.Roles.Mapping[role].Password.Reveal())
		}
	}
	if len(got.Roles.Mapping) != 2 || strings.Join(got.Roles.Priority, ",") != "db-writer,reader" || got.Roles.Default != "reader" {
		t.Errorf("roles %v", got.Roles)
	}
	if got.OIDCIssuer != "https://a.eu.auth0.com/" {
		t.Errorf("issuer %s", got.OIDCIssuer)
	}
	if printed := fmt.Sprintf("%v %+v %#v", got, got, got); strings.Contains(printed, "p:w=d") || strings.Contains(printed, "from file") {
		t.Errorf("printing the settings shows a secret: %s", printed)
	}
	os.Remove(file)
	if _, _, err := load(t, env); err == nil || !strings.Contains(err.Error(), "ROLE_MAPPING_DB_WRITER_FILE cannot be read") {
		t.Errorf("with the file gone: %v", err)
	}
}

func TestRolesCompareAsAuthDoes(t *testing.T) {
	roles := []string{"reader", "READER", "db-reader", "db..Reader", "DB_READER", "_x", "x_", "x", "admin", "admın", "ADMİN", "straße",
		"STRASSE", "k", "\u212a", "é", "É"}
	for _, mapped := range roles {
		for _, asked := range roles {
			_, err := auth.NewRoles(auth.RolesConfig{Mapping: map[string]auth.Login{mapped: {User: "u", Password: "p"}}, Default: asked})
			if same := normalRole(mapped) == normalRole(asked); same != (err == nil) {
				t.Errorf("%q and %q are the same role: %v here, in auth: %v", mapped, asked, same, err)
			}
		}
	}
}

func TestSecretFiles(t *testing.T) {
	env := surroundings(t, "HOME=/h", "GPRXY_USER=svc")
	big := strings.Repeat("x", maxValue+1)
	for _, row := range []struct{ name, content, want string }{
		{"one line", "pw\n", ""},
		{"no line break", " p w ", ""},
		{"empty", "\n", "GPRXY_PASS_FILE names FILE, which is empty"},
		{"too large", big, "GPRXY_PASS_FILE names FILE, which is larger than 64 kB"},
		{"two lines", "a\nb\n", "GPRXY_PASS_FILE holds a control character"},
	} {
		file := write(t, filepath.Join(env.Dir, "secret"), row.content)
		env.Variables = append(env.Variables[:2], "GPRXY_PASS_FILE="+file)
		got, _, err := load(t, env)
		if row.want == "" {
			if err != nil || got.ServicePassword.Reveal() != strings.TrimRight(row.content, "\n") {
				t.Errorf("%s: %v, %q", row.name, err, got.ServicePassword.Reveal())
			}
			continue
		}
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), file, "FILE"), row.want) {
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		}
	}
	env.Variables = append(env.Variables[:2], "GPRXY_PASS_FILE="+env.Dir)
	if _, _, err := load(t, env); err == nil || !strings.Contains(err.Error(), "which is not a file") {
		t.Errorf("a folder: %v", err)
	}
}

func TestCertificates(t *testing.T) {
	env := surroundings(t, enough...)
	certA, keyA := certificate(t, env.Dir, "a")
	_, keyB := certificate(t, env.Dir, "b")
	if got, _, err := load(t, env, "--proxy-cert", certA, "--proxy-key", keyA, "--require-tls", "always", "--db-sslrootcert",
		certA); err != nil || got.ProxyKey != keyA {
		t.Errorf("a pair is refused: %v", err)
	}
	_, _, err := load(t, env, "--proxy-cert", certA, "--proxy-key", keyB)
	if err == nil || !strings.Contains(err.Error(), "private key does not match public key") {
		t.Errorf("a mismatch: %v", err)
	}
	if got, _, err := load(t, env, "--proxy-cert", "auto", "--require-tls", "always"); err != nil || got.ProxyCert != CertAuto {
		t.Errorf("auto: %v", err)
	}
	if _, _, err := load(t, env, "--db-sslrootcert", keyA); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("a key as root certificate: %v", err)
	}
}

func certificate(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile = write(t, filepath.Join(dir, name+".crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	keyFile = write(t, filepath.Join(dir, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	return certFile, keyFile
}

// What DB_HOST may be: a name, also one of a container, an address, the folder of a socket.
func TestDatabaseHosts(t *testing.T) {
	for _, host := range []string{"localhost", "db", "my_db", "db-1.example.com", "db.example.com.", "10.0.0.5", "::1", "fe80::1%eth0",
		"2001:db8::5", "/var/run/postgresql", "1db", "xn--bcher-kva.example"} {
		if bad := checkDatabaseHost(host); bad != nil {
			t.Errorf("%s: %+v", host, bad)
		}
	}
}
