// Package settings is the one table of what gprxy can be told: names, defaults and meanings, where values come from (flags, the
// environment, .env, files for secrets), and what is wrong with them, in words.
package settings

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"gprxy/auth"
)

// The values of REQUIRE_TLS, PASSWORD_ACCOUNT, IDENTITY_STAMP, LOG_LEVEL and LOG_FORMAT as they stand in Settings.
const (
	RequireTLSAuto   = "auto"
	RequireTLSAlways = "always"
	RequireTLSNever  = "never"

	AccountService = "service"
	AccountSelf    = "self"

	StampSetting         = "setting"
	StampApplicationName = "application_name"
	StampBoth            = "both"
	StampOff             = "off"

	LogProduction = "production"
	LogDebug      = "debug"

	FormatText   = "text"
	FormatJSON   = "json"
	FormatLogfmt = "logfmt"

	// CertAuto in ProxyCert asks for a local CA and certificate made for development.
	CertAuto = "auto"
)

// Settings is everything `gprxy start` may be told. A Settings from Load is complete and
// consistent: every field holds a checked value or its default, and the rules between fields hold.
// It carries secrets only as auth.Secret, so it may be printed.
type Settings struct {
	ProxyHost  string      // what to listen on: addresses, names and folders with commas, never empty
	ProxyPort  uint16      // 0: any free port
	SocketMode os.FileMode // of Unix sockets
	ProxyCert  string      // PEM file, CertAuto, or "" for no TLS
	ProxyKey   string      // PEM file; set exactly when ProxyCert names a file
	RequireTLS string      // RequireTLSAuto, RequireTLSAlways or RequireTLSNever

	TrustedProxies     []netip.Prefix // whose connections begin with a PROXY protocol header
	MaxClients         int            // served or waiting for a backend
	LoginMax           int            // connections that have not logged in
	LoginMaxPerAddress int            // of them, for one address
	LoginMaxFailures   int            // of one user from one address; 0: any number
	LoginFailureMemory time.Duration  // after which one of them is forgotten

	IdleTimeout     time.Duration // of a session outside a transaction; 0: no limit
	MaxSession      time.Duration // of a session; 0: no limit
	MaxSessionGrace time.Duration // what a transaction has to finish after MaxSession

	DBHost        string // host name, address, or the folder of a Unix socket
	DBPort        uint16
	DBSSLMode     string // libpq's words: disable, allow, prefer, require, verify-ca, verify-full
	DBSSLRootCert string // PEM file or ""
	DBRestartWait time.Duration

	ServiceUser     string      // GPRXY_USER; set when PasswordLogin and PasswordAccount is AccountService
	ServicePassword auth.Secret // GPRXY_PASS, likewise
	PasswordLogin   bool
	PasswordAccount string // AccountService or AccountSelf

	OIDCIssuer string // "" : token login is off. AUTH0_TENANT is already folded in
	Audience   string // set when OIDCIssuer is
	RolesClaim string // "": the usual names
	UserClaim  string // "": email, else sub
	Roles      auth.RolesConfig
	SignOn     SignOn

	SecretFiles map[string]secretFile // where secrets were read from, by setting

	AllowReplication bool

	PoolMaxConns       int
	PoolMaxTotal       int
	PoolMaxPerUser     int // 0: no limit
	PoolAcquireTimeout time.Duration
	PoolMaxLifetime    time.Duration
	PoolMaxIdleTime    time.Duration
	PoolMaxEmptyTime   time.Duration

	PoolStatelessExtensions []string

	IdentityStamp string // StampSetting, StampApplicationName, StampBoth or StampOff
	EventLog      string // path with ~ expanded

	Audit Audit

	Metrics Metrics

	LogLevel  string // LogProduction or LogDebug
	LogFormat string // FormatText, FormatJSON or FormatLogfmt

	ShutdownTimeout time.Duration // running sessions get this long after SIGTERM
	LoginTimeout    time.Duration // from accept to the end of the login
}

// TokenLogin reports whether people can log in with a token.
func (s Settings) TokenLogin() bool { return s.OIDCIssuer != "" }

// Problem is one wrong or missing setting, told so that a person can put it right. It never holds the
// value of a secret.
type Problem struct {
	Variable string // the variable, or file:line
	Wrong    string // what is wrong with it
	Instead  string // what to type instead
}

// Error holds all wrong and missing settings at once; Run turns it into exit code 2.
type Error struct {
	Problems []Problem
	Command  string // whose settings they are, for the way to the help; "" is start
}

func (e *Error) Error() string {
	var b strings.Builder
	if len(e.Problems) == 1 {
		b.WriteString("a setting is wrong or missing")
	} else {
		fmt.Fprintf(&b, "%d settings are wrong or missing", len(e.Problems))
	}
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n\n  %s %s\n      %s", p.Variable, p.Wrong, p.Instead)
	}
	return b.String()
}
