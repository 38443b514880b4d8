// Settings as somebody types them in the worst case.

package cmd

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"gprxy/auth"
	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"
	"gprxy/pool"
)

// FuzzSettings: settings that are accepted can be started with; others are
// refused in words that can be shown, and hold no secret.
func FuzzSettings(f *testing.F) {
	for _, seed := range []string{
		"PROXY_PORT=7778\nDB_PORT=0", "POOL_MAX_CONNS=0\nPOOL_ACQUIRE_TIMEOUT=-1s", "LOGIN_TIMEOUT=1h\nSHUTDOWN_TIMEOUT=9999999999h",
		"OIDC_ISSUER=https://login.example.com\nAUDIENCE=x\nROLE_MAPPING_READER=app_reader:secret-of-reader-1",
		"ROLE_MAPPING_A=b\nROLE_MAPPING_a_FILE=none\nROLE_MAPPING___=a:b", "ROLE_PRIORITY=a,,b\nDEFAULT_ROLE=\x1b[2J",
		"AUTH0_TENANT=acme\nOIDC_ISSUER=x",
		"PROXY_HOST=::1\nPROXY_PORT=99999", "PROXY_HOST=[::]\nREQUIRE_TLS=always", "DB_SSLMODE=verify-full\nDB_HOST=/tmp",
		"EVENT_LOG=~/x\nEVENT_LOG=",
		"GPRXY_PASS=another-secret-22\nGPRXY_PASS_FILE=/nonexistent", "PASSWORD_LOGIN=off\nPASSWORD_ACCOUNT=self",
		"TRUSTED_PROXIES=10.0.0.0/8,::/0,x",
		"GPRXY_USR=x\nROLEMAPPING_X=y", "DEVICE_LOGIN=on\nDEVICE_LOGIN_MAX=-1", "POOL_MAX_LIFETIME=1ns\nPOOL_MAX_IDLE_TIME=x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		if strings.Contains(lines, "/dev") || strings.Contains(lines, "/proc") || len(lines) > 4096 {
			return // files without an end
		}
		env := settings.Sources{Variables: append(slices.Clone(enough), strings.Split(lines, "\n")...), Dir: "/nonexistent"}
		s, warnings, err := settings.Load(env)
		said := strings.Join(warnings, "\n")
		if err != nil {
			said += terminal.PrintableLines(err.Error())
		}
		if strings.ContainsFunc(strings.ReplaceAll(said, "\n", ""), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("said %q", said)
		}
		for _, line := range env.Variables {
			name, value, _ := strings.Cut(line, "=")
			if isSecretName(name) && isTelling(value) && strings.Contains(said, value) {
				t.Errorf("the value of %s stands in %q", name, said)
			}
		}
		if err == nil {
			checkAccepted(t, s)
		}
	})
}

func isSecretName(name string) bool {
	return strings.HasSuffix(name, "_PASS") || strings.HasSuffix(name, "_SECRET") || strings.HasPrefix(name, "ROLE_MAPPING_") &&
		!strings.HasSuffix(name, "_FILE")
}

// isTelling: long and mixed enough not to stand in a message by chance.
func isTelling(value string) bool {
	return len(value) >= 12 && strings.ContainsAny(value, "0123456789") && strings.ContainsAny(value, "abcdefghijklmnopqrstuvwxyz") &&
		!strings.Contains(value, "_")
}

// checkAccepted does with the settings what start does, short of the network.
func checkAccepted(t *testing.T, s settings.Settings) {
	t.Helper()
	if s.ProxyHost == "" || s.EventLog == "" || s.LoginTimeout < time.Second || s.ShutdownTimeout < 0 {
		t.Errorf("accepted: %+v", s)
	}
	if _, err := auth.NewRoles(s.Roles); err != nil {
		t.Errorf("the roles are accepted, and then: %v", err)
	}
	if s.TokenLogin() {
		v, err := auth.NewVerifier(auth.VerifierConfig{Issuer: s.OIDCIssuer, Audience: s.Audience, RolesClaim: s.RolesClaim,
			UserClaim: s.UserClaim})
		if err != nil {
			t.Errorf("the issuer is accepted, and then: %v", err)
			return
		}
		v.Close()
	}
	pools, err := pool.New(poolConfig(s, nil))
	if err != nil {
		t.Errorf("the database is accepted, and then: %v", err)
		return
	}
	if err := pools.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
