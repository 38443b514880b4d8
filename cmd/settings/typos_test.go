// What start warns about: slips of the finger, and settings that do not do what they seem to.

package settings

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	for _, row := range []struct {
		env, dotenv string
		want        string // a part of the only warning, or "" for none
	}{
		{env: "DB_HSOT=x", want: "DB_HSOT in the environment is no setting of gprxy; did you mean DB_HOST?"},
		{dotenv: "POOL_MAX_CONN=9", want: "POOL_MAX_CONN in the .env is no setting of gprxy; did you mean POOL_MAX_CONNS?"},
		{env: "GPRXY_PASSWD=topsecret", want: "did you mean GPRXY_PASS?"},
		{env: "ROLE_MAPING_READER=a:topsecret", want: "did you mean ROLE_MAPPING_READER?"},
		{env: "ROLES_MAPPING_READER=a:topsecret", want: "did you mean ROLE_MAPPING_READER?"},
		{env: "ROLE_MAPPING=a:topsecret", want: "did you mean ROLE_MAPPING_<ROLE>?"},
		{dotenv: "db_host=x", want: "did you mean DB_HOST?"},
		{env: "DB_HOST_FILE=x", want: "only passwords have a _FILE variant, set DB_HOST"},
		{dotenv: "GPRXY_COLOUR=x", want: "see gprxy start --help"},
		{env: "GPRXY_COLOUR=x", want: ""},
		{env: "DB_NAME=shop", want: ""},
		{env: "DB_USER=shop", want: ""},
		{env: "HTTP_PROXY=x", want: ""},
		{env: "PGHOST=x", want: ""},
		{env: "CALLBACK_URL=x", want: ""},
		{env: "PROXY_HOST=0.0.0.0", want: "PROXY_CERT is not set: clients that are not on this machine will be refused"},
		{env: "PROXY_HOST=localhost", want: ""},
		{env: "AUDIENCE=x", want: "token login is off"},
		{env: "ROLE_MAPPING_A=b:topsecret", want: "token login is off"},
		{env: "POOL_MAX_CONNS=90", want: "POOL_MAX_CONNS (90) is more than POOL_MAX_TOTAL (80) allows"},
		{env: "MAX_SESSION=30s", want: "MAX_SESSION (30s) counts from the connection, so it may be over when a login has taken its LOGIN_TIMEOUT (1m)"},
		{env: "POOL_ACQUIRE_TIMEOUT=2m", want: "POOL_ACQUIRE_TIMEOUT (2m) is not reached: LOGIN_TIMEOUT (1m) ends the login first"},
		{dotenv: "GPRXY_PASS=topsecret$WORD", want: ".env:1: a $ in the value of GPRXY_PASS is replaced"},
		{dotenv: "GPRXY_PASS='topsecret$WORD'", want: ""},
	} {
		t.Run(row.env+row.dotenv, func(t *testing.T) {
			env := surroundings(t, append([]string{row.env}, enough...)...)
			if row.dotenv != "" {
				write(t, filepath.Join(env.Dir, ".env"), row.dotenv+"\n")
			}
			_, warnings, err := load(t, env)
			all := strings.Join(warnings, "\n")
			if err != nil || (row.want == "") != (all == "") || !strings.Contains(all, row.want) || len(warnings) > 1 {
				t.Errorf("error %v, warnings %q, want %q", err, warnings, row.want)
			}
			if strings.Contains(all, "topsecret") {
				t.Errorf("a warning holds a secret: %s", all)
			}
		})
	}
}
