// The table of settings: the one place that names each variable, its default and its meaning.

package cmd

import (
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gprxy/auth"
)

// setting is one row of the table.
type setting struct {
	name    string // variable; for a family (prefix) the part before <ROLE>
	prefix  bool   // stands for every variable that starts with name
	def     string // default as one would type it; "" for none
	none    string // what docs and help show when def is ""
	meaning string
	allowed []string // the only values, if it is a choice
	secret  bool     // no flag, but a NAME_FILE variant
	// parse puts a non-empty text into s. Its error says what is wrong and what to type instead, and
	// never holds the text of a secret.
	parse func(s *Settings, l *loader, text string) *badValue
}

// badValue is why a text is refused, without the name of the variable.
type badValue struct{ wrong, instead string }

// flag is the row's flag without the dashes: DB_HOST is set by --db-host.
func (r setting) flag() string { return strings.ToLower(strings.ReplaceAll(r.name, "_", "-")) }

func (r setting) hasFlag() bool { return !r.secret }

// shownName is the variable as docs and help write it.
func (r setting) shownName() string {
	if r.prefix {
		return r.name + "<ROLE>"
	}
	return r.name
}

// shownDefault is the default as docs and help write it.
func (r setting) shownDefault() string {
	if r.def != "" {
		return r.def
	}
	return r.none
}

// settingsTable returns the rows in the order of docs/cli.md.
func settingsTable() []setting {
	var table []setting
	for _, part := range [][]setting{listenSettings(), limitSettings(), databaseSettings(), loginSettings(), claimSettings(),
		signOnSettings(), poolSettings(), logSettings(), auditSettings()} {
		table = append(table, part...)
	}
	return table
}

func listenSettings() []setting {
	return []setting{
		{name: "PROXY_HOST", def: "127.0.0.1", meaning: "what to listen on, a list with commas: addresses, host names, and folders for a " +
			"Unix socket; 0.0.0.0 for every interface",
			parse: listenHosts},
		{name: "PROXY_PORT", def: "7777", meaning: "port to listen on; 0 takes any free port",
			parse: port(0, func(s *Settings) *uint16 { return &s.ProxyPort })},
		{name: "PROXY_SOCKET_PERMISSIONS", def: "0777", meaning: "who may connect to a Unix socket of PROXY_HOST, as chmod takes it; " +
			"everybody still has to log in",
			parse: socketMode},
		{name: "PROXY_CERT", none: "no TLS", meaning: "PEM certificate chain, re-read when it changes; auto makes a local CA and certificate " +
			"for development",
			parse: filePath(func(s *Settings) *string { return &s.ProxyCert })},
		{name: "PROXY_KEY", none: "none", meaning: "PEM key of PROXY_CERT",
			parse: filePath(func(s *Settings) *string { return &s.ProxyKey })},
		{name: "REQUIRE_TLS", def: RequireTLSAuto, meaning: "who must use TLS to log in; auto: every client that is not on loopback; never " +
			"on a Unix socket",
			allowed: []string{RequireTLSAuto, RequireTLSAlways, RequireTLSNever},
			parse:   text(func(s *Settings) *string { return &s.RequireTLS })},
		{name: "LOGIN_TIMEOUT", def: "60s", meaning: "time a client has from the accepted connection to a finished login",
			parse: duration(time.Second, 10*time.Minute, func(s *Settings) *time.Duration { return &s.LoginTimeout })},
		{name: "SHUTDOWN_TIMEOUT", def: "30s", meaning: "time running sessions have to finish after SIGTERM",
			parse: duration(0, 24*time.Hour, func(s *Settings) *time.Duration { return &s.ShutdownTimeout })},
	}
}

func databaseSettings() []setting {
	return []setting{
		{name: "DB_HOST", def: "localhost", meaning: "PostgreSQL: host, address, or folder of a Unix socket",
			parse: databaseHost(func(s *Settings) *string { return &s.DBHost })},
		{name: "DB_PORT", def: "5432", meaning: "PostgreSQL: port",
			parse: port(1, func(s *Settings) *uint16 { return &s.DBPort })},
		{name: "DB_SSLMODE", def: "prefer", meaning: "TLS to PostgreSQL, with libpq's meanings",
			allowed: []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
			parse:   text(func(s *Settings) *string { return &s.DBSSLMode })},
		{name: "DB_SSLROOTCERT", none: "required with verify-ca and verify-full",
			meaning: "PEM file of the CAs that may sign PostgreSQL's certificate; system for the system's",
			parse:   filePath(func(s *Settings) *string { return &s.DBSSLRootCert })},
		{name: "DB_RESTART_WAIT", def: "5s", meaning: "how long logins wait for a PostgreSQL that has just gone away, as in a restart; " +
			"afterwards they are refused at once",
			parse: duration(0, 10*time.Minute, func(s *Settings) *time.Duration { return &s.DBRestartWait })},
		{name: "GPRXY_USER", none: "required", meaning: "service user for logins with a database password",
			parse: account(func(s *Settings) *string { return &s.ServiceUser })},
		{name: "GPRXY_PASS", none: "required", meaning: "its password", secret: true,
			parse: secret(func(s *Settings) *auth.Secret { return &s.ServicePassword })},
	}
}

func loginSettings() []setting {
	return []setting{
		{name: "PASSWORD_LOGIN", def: "on", meaning: "whether people may log in with a database password",
			allowed: []string{"on", "off"}, parse: onOff(func(s *Settings) *bool { return &s.PasswordLogin })},
		{name: "PASSWORD_ACCOUNT", def: AccountService, meaning: "who serves such a login: GPRXY_USER (service) or the person's own account " +
			"(self)",
			allowed: []string{AccountService, AccountSelf},
			parse:   text(func(s *Settings) *string { return &s.PasswordAccount })},
		{name: "AUTH0_TENANT", none: "none", meaning: "domain of an Auth0 tenant; short for OIDC_ISSUER=https://TENANT/",
			parse: tenant},
		{name: "OIDC_ISSUER", none: "token login off", meaning: "the issuer of the tokens people log in with, as the tokens write it",
			parse: issuer},
		{name: "AUDIENCE", none: "required with OIDC_ISSUER", meaning: "the audience a token must be made for",
			parse: text(func(s *Settings) *string { return &s.Audience })},
		{name: "ROLES_CLAIM", none: "roles, role, groups or …/roles", meaning: "the claim that holds a person's roles; dots lead into objects",
			parse: text(func(s *Settings) *string { return &s.RolesClaim })},
		{name: "USER_CLAIM", none: "email, else sub", meaning: "the claim that names the person",
			parse: text(func(s *Settings) *string { return &s.UserClaim })},
		{name: "ROLE_MAPPING_", prefix: true, secret: true, none: "required with OIDC_ISSUER",
			meaning: "username:password of the service account for a role",
			parse:   roleMappings},
		{name: "ROLE_PRIORITY", none: "order of the token", meaning: "which role wins when several are mapped: a list with commas, strongest " +
			"first",
			parse: rolePriority},
		{name: "DEFAULT_ROLE", none: "refused", meaning: "the mapped role for a login that has none",
			parse: text(func(s *Settings) *string { return &s.Roles.Default })},
		{name: "ALLOW_REPLICATION", def: "off", meaning: "whether clients may replicate, such as pg_basebackup and subscriptions; their " +
			"account needs the privilege, too",
			allowed: []string{"on", "off"}, parse: onOff(func(s *Settings) *bool { return &s.AllowReplication })},
	}
}

func poolSettings() []setting {
	return []setting{
		{name: "POOL_MAX_CONNS", def: "20", meaning: "connections to PostgreSQL per service user and database",
			parse: count(func(s *Settings) *int { return &s.PoolMaxConns })},
		{name: "POOL_MAX_TOTAL", def: "80", meaning: "connections to PostgreSQL in all",
			parse: count(func(s *Settings) *int { return &s.PoolMaxTotal })},
		{name: "POOL_MAX_PER_USER", none: "no limit", meaning: "of these, for one person, whatever their accounts and databases; more logins " +
			"are refused",
			parse: count(func(s *Settings) *int { return &s.PoolMaxPerUser })},
		{name: "POOL_ACQUIRE_TIMEOUT", def: "10s", meaning: "how long a login waits for a free connection",
			parse: duration(time.Millisecond, time.Hour, func(s *Settings) *time.Duration { return &s.PoolAcquireTimeout })},
		{name: "POOL_MAX_LIFETIME", def: "1h", meaning: "a connection to PostgreSQL older than this (plus up to 10%) is closed as soon as it " +
			"is idle",
			parse: duration(time.Second, 30*24*time.Hour, func(s *Settings) *time.Duration { return &s.PoolMaxLifetime })},
		{name: "POOL_MAX_IDLE_TIME", def: "10m", meaning: "a connection to PostgreSQL that was idle so long is closed",
			parse: duration(time.Second, 30*24*time.Hour, func(s *Settings) *time.Duration { return &s.PoolMaxIdleTime })},
		{name: "POOL_MAX_EMPTY_TIME", def: "3s", meaning: "so long after the last session in a database its idle connections are closed; " +
			"below 5s it can be dropped, renamed and copied",
			parse: duration(time.Millisecond, 30*24*time.Hour, func(s *Settings) *time.Duration { return &s.PoolMaxEmptyTime })},
		{name: "POOL_STATELESS_EXTENSIONS", none: "those gprxy knows",
			meaning: "more extensions written in C that keep nothing of a session: a list with commas",
			parse:   extensions},
		{name: "IDENTITY_STAMP", def: StampSetting, meaning: "where PostgreSQL learns the person: the setting gprxy.user, application_name, " +
			"both, or nowhere",
			allowed: []string{StampSetting, StampApplicationName, StampBoth, StampOff},
			parse:   text(func(s *Settings) *string { return &s.IdentityStamp })},
	}
}

func logSettings() []setting {
	return []setting{
		{name: "EVENT_LOG", def: "~/.gprxy/events.db", meaning: "the event log (SQLite); sessions and audit read the same file",
			parse: filePath(func(s *Settings) *string { return &s.EventLog })},
		{name: "LOG_LEVEL", def: LogProduction, meaning: "production: a line per login, refusal and end; debug: every step",
			allowed: []string{LogProduction, LogDebug},
			parse:   text(func(s *Settings) *string { return &s.LogLevel })},
		{name: "LOG_FORMAT", def: FormatText, meaning: "how log lines on stderr are written",
			allowed: []string{FormatText, FormatJSON, FormatLogfmt},
			parse:   text(func(s *Settings) *string { return &s.LogFormat })},
	}
}

// addSettingFlags defines the flags of the named settings, or of all when no name is given. The
// flags are texts: the table checks every source alike.
func addSettingFlags(fs *pflag.FlagSet, names ...string) {
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	for _, row := range settingsTable() {
		if row.hasFlag() && (len(names) == 0 || wanted[row.name]) {
			fs.String(row.flag(), row.def, row.meaning)
		}
	}
}
