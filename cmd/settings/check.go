// The rules between settings: what is fine alone but wrong together.

package settings

import (
	"crypto/x509"
	"os"
	"slices"
	"strings"

	"gprxy/auth"
)

func checkSettings(s *Settings, l *loader) {
	checkListen(s, l)
	checkCertificate(s, l)
	checkDatabase(s, l)
	checkPasswordLogin(s, l)
	checkIssuer(s, l)
	checkSignOn(s, l)
	checkRoles(s, l)
	checkAudit(s, l)
	checkMetrics(s, l)
	if s.LoginMaxPerAddress > s.LoginMax && s.LoginMax > 0 {
		l.warn("LOGIN_MAX_PER_ADDRESS (%d) is more than LOGIN_MAX (%d) allows", s.LoginMaxPerAddress, s.LoginMax)
	}
	if s.PoolMaxConns > s.PoolMaxTotal && s.PoolMaxTotal > 0 {
		l.warn("POOL_MAX_CONNS (%d) is more than POOL_MAX_TOTAL (%d) allows", s.PoolMaxConns, s.PoolMaxTotal)
	}
	if s.MaxSession > 0 && s.MaxSession <= s.LoginTimeout {
		l.warn("MAX_SESSION (%s) counts from the connection, so it may be over when a login has taken its LOGIN_TIMEOUT (%s)", short(s.MaxSession),
			short(s.LoginTimeout))
	}
	if s.PoolAcquireTimeout >= s.LoginTimeout && s.LoginTimeout > 0 {
		l.warn("POOL_ACQUIRE_TIMEOUT (%s) is not reached: LOGIN_TIMEOUT (%s) ends the login first", short(s.PoolAcquireTimeout),
			short(s.LoginTimeout))
	}
}

// bad reports whether a variable already has a problem, so that one mistake is told once.
func (l *loader) bad(variable string) bool {
	return slices.ContainsFunc(l.problems, func(p Problem) bool { return p.Variable == variable })
}

func checkCertificate(s *Settings, l *loader) {
	switch {
	case l.bad("PROXY_CERT") || l.bad("PROXY_KEY"):
	case s.ProxyCert == CertAuto && s.ProxyKey != "":
		l.problem("PROXY_KEY", "is set, but PROXY_CERT=auto makes its own key", "remove PROXY_KEY, or set PROXY_CERT to the certificate's file")
	case s.ProxyCert == CertAuto:
	case s.ProxyCert != "" || s.ProxyKey != "":
		checkPair(l, "PROXY_CERT", "PROXY_KEY", s.ProxyCert, s.ProxyKey)
	case s.RequireTLS == RequireTLSAlways:
		l.problem("REQUIRE_TLS", "is always, but there is no certificate, so nobody could log in",
			"set PROXY_CERT and PROXY_KEY, or PROXY_CERT=auto for development")
	case s.RequireTLS == RequireTLSAuto && s.beyondLoopback() != "":
		l.warn("PROXY_HOST is %s but PROXY_CERT is not set: clients that are not on this machine will be refused (REQUIRE_TLS=auto)",
			s.beyondLoopback())
	case s.RequireTLS == RequireTLSAuto && len(s.TrustedProxies) > 0:
		l.warn("TRUSTED_PROXIES is set but PROXY_CERT is not: clients that come through a load balancer will be refused (REQUIRE_TLS=auto)")
	case s.RequireTLS == RequireTLSNever && s.beyondLoopback() != "":
		l.warn("REQUIRE_TLS is never and PROXY_CERT is not set: passwords and tokens cross the network unencrypted")
	}
}

func checkDatabase(s *Settings, l *loader) {
	verifies := strings.HasPrefix(s.DBSSLMode, "verify-")
	switch {
	case l.bad("DB_SSLROOTCERT") || l.bad("DB_SSLMODE"):
		return
	case s.DBSSLRootCert == "" && verifies:
		l.problem("DB_SSLROOTCERT", "is not set, but DB_SSLMODE is "+s.DBSSLMode,
			"set it to the PEM file of the CA that signed PostgreSQL's certificate, or to system with verify-full")
		return
	case s.DBSSLRootCert == "system" && s.DBSSLMode != "verify-full":
		l.problem("DB_SSLROOTCERT", "is system, but DB_SSLMODE is "+s.DBSSLMode,
			"set DB_SSLMODE=verify-full: with weaker checks anybody's certificate would do")
		return
	case s.DBSSLRootCert == "" || s.DBSSLRootCert == "system":
		return
	}
	pem, err := os.ReadFile(s.DBSSLRootCert)
	if err != nil {
		l.problem("DB_SSLROOTCERT", "cannot be read: "+err.Error(), "name a PEM file that the proxy's user can read")
		return
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		l.problem("DB_SSLROOTCERT", "names "+s.DBSSLRootCert+", which holds no certificate", "name a PEM file of CA certificates")
	}
}

func checkPasswordLogin(s *Settings, l *loader) {
	if l.bad("PASSWORD_LOGIN") || l.bad("PASSWORD_ACCOUNT") {
		return
	}
	if !s.PasswordLogin {
		issuerTold := l.bad("OIDC_ISSUER") || l.bad("AUTH0_TENANT")
		if !s.TokenLogin() && !issuerTold {
			l.problem("PASSWORD_LOGIN", "is off and OIDC_ISSUER is not set, so nobody could log in",
				"set OIDC_ISSUER and AUDIENCE, or PASSWORD_LOGIN=on")
		}
		return
	}
	if s.PasswordAccount != AccountService {
		return
	}
	const otherwise = ", or set PASSWORD_ACCOUNT=self to serve people with their own account, or PASSWORD_LOGIN=off"
	if s.ServiceUser == "" && !l.bad("GPRXY_USER") {
		l.problem("GPRXY_USER", "is not set", "set it to the PostgreSQL role that serves password logins"+otherwise)
	}
	if s.ServicePassword == "" && !l.bad("GPRXY_PASS") && !l.bad("GPRXY_PASS_FILE") {
		l.problem("GPRXY_PASS", "is not set", "set it to that role's password, or GPRXY_PASS_FILE to a file that holds it"+otherwise)
	}
}

func checkIssuer(s *Settings, l *loader) {
	if l.tenantIssuer != "" && s.OIDCIssuer != l.tenantIssuer {
		l.problem("AUTH0_TENANT", "stands for "+l.tenantIssuer+", but OIDC_ISSUER is "+s.OIDCIssuer, "set only one of the two")
	}
	switch {
	case l.bad("OIDC_ISSUER") || l.bad("AUTH0_TENANT") || l.bad("AUDIENCE"):
	case s.TokenLogin() && s.Audience == "":
		l.problem("AUDIENCE", "is not set, but OIDC_ISSUER is", "set it to the audience of your tokens (the API identifier at the issuer)")
	case !s.TokenLogin() && s.Audience != "":
		l.warn("AUDIENCE is set without OIDC_ISSUER or AUTH0_TENANT: token login is off")
	}
}

func checkRoles(s *Settings, l *loader) {
	mapped := map[string]bool{}
	for role := range s.Roles.Mapping {
		mapped[normalRole(role)] = true
	}
	broken := slices.ContainsFunc(l.problems, func(p Problem) bool { return strings.HasPrefix(p.Variable, "ROLE_MAPPING_") })
	if broken {
		return // the roles below may be those that failed
	}
	for _, role := range s.Roles.Priority {
		if !mapped[normalRole(role)] {
			l.problem("ROLE_PRIORITY", "names "+role+", which is not mapped", mapInstead(role, s, "remove it from the list"))
		}
	}
	if role := s.Roles.Default; role != "" && !mapped[normalRole(role)] {
		l.problem("DEFAULT_ROLE", "is "+role+", which is not mapped", mapInstead(role, s, "set DEFAULT_ROLE to a mapped role"))
	}
	if _, err := auth.NewRoles(s.Roles); err != nil && len(l.problems) == 0 { // auth has the last word
		l.problem("ROLE_MAPPING_*", "cannot be used: "+err.Error(), "correct the mapping, ROLE_PRIORITY or DEFAULT_ROLE")
	}
	switch {
	case s.TokenLogin() && len(mapped) == 0:
		l.problem("ROLE_MAPPING_<ROLE>", "is not set, so no token could get an account",
			"set ROLE_MAPPING_READER=username:password for the role reader, and so on for each role")
	case !s.TokenLogin() && len(mapped) > 0 && !l.bad("OIDC_ISSUER") && !l.bad("AUTH0_TENANT"):
		l.warn("ROLE_MAPPING_* is set without OIDC_ISSUER or AUTH0_TENANT: token login is off")
	}
}

// mapInstead proposes the mapping that is missing, or a mapped role of nearly the same name.
func mapInstead(role string, s *Settings, otherwise string) string {
	var roles []string
	for r := range s.Roles.Mapping {
		roles = append(roles, r)
	}
	slices.Sort(roles)
	if near := Nearest(normalRole(role), roles); near != "" {
		return "did you mean " + near + "? Otherwise set ROLE_MAPPING_" + normalRole(role) + "=username:password"
	}
	return "set ROLE_MAPPING_" + normalRole(role) + "=username:password, or " + otherwise
}
