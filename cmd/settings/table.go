// The table of settings: the one place that names each variable, its default and its meaning.

package settings

import (
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gprxy/auth"
)

// Row is one row of the table.
type Row struct {
	Name    string   // variable; for a family (Prefix) the part before <ROLE>
	Prefix  bool     // stands for every variable that starts with Name
	Default string   // as one would type it; "" for none
	None    string   // what docs and help show when Default is ""
	Meaning string   // what it decides, for people
	Allowed []string // the only values, if it is a choice
	Secret  bool     // no flag, but a NAME_FILE variant

	// parse puts a non-empty text into s. Its error says what is wrong and what to type instead, and
	// never holds the text of a secret.
	parse func(s *Settings, l *loader, text string) *badValue
}

// badValue is why a text is refused, without the name of the variable.
type badValue struct{ wrong, instead string }

// Flag is the row's flag without the dashes: DB_HOST is set by --db-host.
func (r Row) Flag() string { return strings.ToLower(strings.ReplaceAll(r.Name, "_", "-")) }

// HasFlag: secrets have none, for other people of the machine can read a command line.
func (r Row) HasFlag() bool { return !r.Secret }

// ShownName is the variable as docs and help write it.
func (r Row) ShownName() string {
	if r.Prefix {
		return r.Name + "<ROLE>"
	}
	return r.Name
}

// ShownDefault is the default as docs and help write it.
func (r Row) ShownDefault() string {
	if r.Default != "" {
		return r.Default
	}
	return r.None
}

// Table returns the rows in the order of docs/cli.md.
func Table() []Row {
	var table []Row
	for _, part := range [][]Row{listenSettings(), limitSettings(), databaseSettings(), loginSettings(), claimSettings(),
		signOnSettings(), poolSettings(), logSettings(), auditSettings(), metricsSettings()} {
		table = append(table, part...)
	}
	return table
}

func listenSettings() []Row {
	return []Row{
		{Name: "PROXY_HOST", Default: "127.0.0.1", Meaning: "what to listen on, a list with commas: addresses, host names, and folders for a " +
			"Unix socket; 0.0.0.0 for every interface",
			parse: listenHosts},
		{Name: "PROXY_PORT", Default: "7777", Meaning: "port to listen on; 0 takes any free port",
			parse: port(0, func(s *Settings) *uint16 { return &s.ProxyPort })},
		{Name: "PROXY_SOCKET_PERMISSIONS", Default: "0777", Meaning: "who may connect to a Unix socket of PROXY_HOST, as chmod takes it; " +
			"everybody still has to log in",
			parse: socketMode},
		{Name: "PROXY_CERT", None: "no TLS", Meaning: "PEM certificate chain, re-read when it changes; auto makes a local CA and certificate " +
			"for development",
			parse: filePath(func(s *Settings) *string { return &s.ProxyCert })},
		{Name: "PROXY_KEY", None: "none", Meaning: "PEM key of PROXY_CERT",
			parse: filePath(func(s *Settings) *string { return &s.ProxyKey })},
		{Name: "REQUIRE_TLS", Default: RequireTLSAuto, Meaning: "who must use TLS to log in; auto: every client that is not on loopback; never " +
			"on a Unix socket",
			Allowed: []string{RequireTLSAuto, RequireTLSAlways, RequireTLSNever},
			parse:   text(func(s *Settings) *string { return &s.RequireTLS })},
		{Name: "LOGIN_TIMEOUT", Default: "60s", Meaning: "time a client has from the accepted connection to a finished login",
			parse: duration(time.Second, 10*time.Minute, func(s *Settings) *time.Duration { return &s.LoginTimeout })},
		{Name: "SHUTDOWN_TIMEOUT", Default: "30s", Meaning: "time running sessions have to finish after SIGTERM",
			parse: duration(0, 24*time.Hour, func(s *Settings) *time.Duration { return &s.ShutdownTimeout })},
	}
}

func databaseSettings() []Row {
	return []Row{
		{Name: "DB_HOST", Default: "localhost", Meaning: "PostgreSQL: host, address, or folder of a Unix socket",
			parse: databaseHost(func(s *Settings) *string { return &s.DBHost })},
		{Name: "DB_PORT", Default: "5432", Meaning: "PostgreSQL: port",
			parse: port(1, func(s *Settings) *uint16 { return &s.DBPort })},
		{Name: "DB_SSLMODE", Default: "prefer", Meaning: "TLS to PostgreSQL, with libpq's meanings",
			Allowed: []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
			parse:   text(func(s *Settings) *string { return &s.DBSSLMode })},
		{Name: "DB_SSLROOTCERT", None: "required with verify-ca and verify-full",
			Meaning: "PEM file of the CAs that may sign PostgreSQL's certificate; system for the system's",
			parse:   filePath(func(s *Settings) *string { return &s.DBSSLRootCert })},
		{Name: "DB_RESTART_WAIT", Default: "5s", Meaning: "how long logins wait for a PostgreSQL that has just gone away, as in a restart; " +
			"afterwards they are refused at once",
			parse: duration(0, 10*time.Minute, func(s *Settings) *time.Duration { return &s.DBRestartWait })},
		{Name: "GPRXY_USER", None: "required", Meaning: "service user for logins with a database password",
			parse: account(func(s *Settings) *string { return &s.ServiceUser })},
		{Name: "GPRXY_PASS", None: "required", Meaning: "its password", Secret: true,
			parse: secret(func(s *Settings) *auth.Secret { return &s.ServicePassword })},
	}
}

func loginSettings() []Row {
	return []Row{
		{Name: "PASSWORD_LOGIN", Default: "on", Meaning: "whether people may log in with a database password",
			Allowed: []string{"on", "off"}, parse: onOff(func(s *Settings) *bool { return &s.PasswordLogin })},
		{Name: "PASSWORD_ACCOUNT", Default: AccountService, Meaning: "who serves such a login: GPRXY_USER (service) or the person's own " +
			"account " +
			"(self)",
			Allowed: []string{AccountService, AccountSelf},
			parse:   text(func(s *Settings) *string { return &s.PasswordAccount })},
		{Name: "AUTH0_TENANT", None: "none", Meaning: "domain of an Auth0 tenant; short for OIDC_ISSUER=https://TENANT/",
			parse: tenant},
		{Name: "OIDC_ISSUER", None: "token login off", Meaning: "the issuer of the tokens people log in with, as the tokens write it",
			parse: issuer},
		{Name: "AUDIENCE", None: "required with OIDC_ISSUER", Meaning: "the audience a token must be made for",
			parse: text(func(s *Settings) *string { return &s.Audience })},
		{Name: "ROLES_CLAIM", None: "roles, role, groups or …/roles", Meaning: "the claim that holds a person's roles; dots lead into objects",
			parse: text(func(s *Settings) *string { return &s.RolesClaim })},
		{Name: "USER_CLAIM", None: "email, else sub", Meaning: "the claim that names the person",
			parse: text(func(s *Settings) *string { return &s.UserClaim })},
		{Name: "ROLE_MAPPING_", Prefix: true, Secret: true, None: "required with OIDC_ISSUER",
			Meaning: "username:password of the service account for a role",
			parse:   roleMappings},
		{Name: "ROLE_PRIORITY", None: "order of the token", Meaning: "which role wins when several are mapped: a list with commas, strongest " +
			"first",
			parse: rolePriority},
		{Name: "DEFAULT_ROLE", None: "refused", Meaning: "the mapped role for a login that has none",
			parse: text(func(s *Settings) *string { return &s.Roles.Default })},
		{Name: "ALLOW_REPLICATION", Default: "off", Meaning: "whether clients may replicate, such as pg_basebackup and subscriptions; their " +
			"account needs the privilege, too",
			Allowed: []string{"on", "off"}, parse: onOff(func(s *Settings) *bool { return &s.AllowReplication })},
	}
}

func poolSettings() []Row {
	return []Row{
		{Name: "POOL_MAX_CONNS", Default: "20", Meaning: "connections to PostgreSQL per service user and database",
			parse: count(func(s *Settings) *int { return &s.PoolMaxConns })},
		{Name: "POOL_MAX_TOTAL", Default: "80", Meaning: "connections to PostgreSQL in all",
			parse: count(func(s *Settings) *int { return &s.PoolMaxTotal })},
		{Name: "POOL_MAX_PER_USER", None: "no limit", Meaning: "of these, for one person, whatever their accounts and databases; more logins " +
			"are refused",
			parse: count(func(s *Settings) *int { return &s.PoolMaxPerUser })},
		{Name: "POOL_ACQUIRE_TIMEOUT", Default: "10s", Meaning: "how long a login waits for a free connection",
			parse: duration(time.Millisecond, time.Hour, func(s *Settings) *time.Duration { return &s.PoolAcquireTimeout })},
		{Name: "POOL_MAX_LIFETIME", Default: "1h", Meaning: "a connection to PostgreSQL older than this (plus up to 10%) is closed as soon " +
			"as it " +
			"is idle",
			parse: duration(time.Second, 30*24*time.Hour, func(s *Settings) *time.Duration { return &s.PoolMaxLifetime })},
		{Name: "POOL_MAX_IDLE_TIME", Default: "10m", Meaning: "a connection to PostgreSQL that was idle so long is closed",
			parse: duration(time.Second, 30*24*time.Hour, func(s *Settings) *time.Duration { return &s.PoolMaxIdleTime })},
		{Name: "POOL_MAX_EMPTY_TIME", Default: "3s", Meaning: "so long after the last session in a database its idle connections are closed; " +
			"below 5s it can be dropped, renamed and copied",
			parse: duration(time.Millisecond, 30*24*time.Hour, func(s *Settings) *time.Duration { return &s.PoolMaxEmptyTime })},
		{Name: "POOL_STATELESS_EXTENSIONS", None: "those gprxy knows",
			Meaning: "more extensions written in C that keep nothing of a session: a list with commas",
			parse:   extensions},
		{Name: "IDENTITY_STAMP", Default: StampSetting, Meaning: "where PostgreSQL learns the person: the setting gprxy.user, " +
			"application_name, " +
			"both, or nowhere",
			Allowed: []string{StampSetting, StampApplicationName, StampBoth, StampOff},
			parse:   text(func(s *Settings) *string { return &s.IdentityStamp })},
	}
}

func logSettings() []Row {
	return []Row{
		{Name: "EVENT_LOG", Default: "~/.gprxy/events.db", Meaning: "the event log (SQLite); sessions and audit read the same file",
			parse: filePath(func(s *Settings) *string { return &s.EventLog })},
		{Name: "LOG_LEVEL", Default: LogProduction, Meaning: "production: a line per login, refusal and end; debug: every step",
			Allowed: []string{LogProduction, LogDebug},
			parse:   text(func(s *Settings) *string { return &s.LogLevel })},
		{Name: "LOG_FORMAT", Default: FormatText, Meaning: "how log lines on stderr are written",
			Allowed: []string{FormatText, FormatJSON, FormatLogfmt},
			parse:   text(func(s *Settings) *string { return &s.LogFormat })},
	}
}

// AddFlags defines the flags of the named settings, or of all when no name is given. The
// flags are texts: the table checks every source alike.
func AddFlags(fs *pflag.FlagSet, names ...string) {
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	for _, row := range Table() {
		if row.HasFlag() && (len(names) == 0 || wanted[row.Name]) {
			fs.String(row.Flag(), row.Default, row.Meaning)
		}
	}
}
