// What a test may ask of its server.
package pooltest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Superuser is the name of the server's superuser; its password is Server.SuperuserPassword.
const Superuser = "postgres"

// Options describe the server to start. The zero value is a plain server that asks for SCRAM-SHA-256.
type Options struct {
	TLS      bool              // offer TLS, with a certificate for localhost and 127.0.0.1 from an own CA
	Auth     string            // pg_hba.conf method for TCP connections: scram-sha-256 (default), md5, password, trust
	UserAuth map[string]string // the same for single users
	HBA      []string          // pg_hba.conf lines that come before all others
	Settings map[string]string // postgresql.conf
	BinDir   string            // the server's programs, e.g. from Newest; default: what the machine has, else an installation
	Env      []string          // more environment of the server, as "name=value"
	Progress io.Writer         // told what an installation does; default standard error
}

func (o Options) complete() (Options, error) {
	if o.Auth == "" {
		o.Auth = "scram-sha-256"
	}
	methods := []string{o.Auth}
	for _, m := range o.UserAuth {
		methods = append(methods, m)
	}
	for _, m := range methods {
		if !slices.Contains([]string{"scram-sha-256", "md5", "password", "trust", "reject"}, m) {
			return o, fmt.Errorf("unknown authentication method %q", m)
		}
	}
	for name, value := range o.Settings {
		if strings.ContainsAny(name+value, "\n\x00") {
			return o, errors.New("a setting holds a line break or NUL")
		}
	}
	return o, nil
}

// hba is the content of pg_hba.conf. The superuser comes in over the Unix socket, whose directory only the
// server's own user may enter, without a password.
func (o Options) hba() string {
	var b strings.Builder
	for _, line := range o.HBA {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "local all %s trust\n", Superuser)
	for user, method := range o.UserAuth {
		fmt.Fprintf(&b, "local all \"%s\" %s\nhost all \"%s\" all %s\n", user, method, user, method)
	}
	fmt.Fprintf(&b, "local all all %s\nhost all all all %s\nhost replication all all %s\n", o.Auth, o.Auth, o.Auth)
	return b.String()
}

// conf is what is appended to postgresql.conf. Durability is off: the data is thrown away.
func (o Options) conf(port uint16, socketDir string) string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    fmt.Sprint(port),
		"unix_socket_directories": socketDir,
		"fsync":                   "off",
		"synchronous_commit":      "off",
		"full_page_writes":        "off",
		"shared_buffers":          "16MB",
		"max_connections":         "100",
		"wal_keep_size":           "512MB",         // a test beside a base backup writes and checkpoints, and its WAL must not be removed
		"password_encryption":     "scram-sha-256", // the default from version 14 on
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"log_line_prefix":         "%m [%p] %q%u@%d ",
	}
	if o.TLS {
		settings["ssl"] = "on"
		settings["ssl_cert_file"] = certFile
		settings["ssl_key_file"] = keyFile
	}
	for name, value := range o.Settings {
		settings[name] = value
	}
	var b strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	return b.String()
}
