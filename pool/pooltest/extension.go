// Extensions that not every installation has.
package pooltest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// aptLanguages are the languages that Debian packages apart from the server, and the middle of the package's name.
var aptLanguages = map[string]string{"plperl": "plperl", "pltcl": "pltcl", "plpython3u": "plpython3"}

// Require makes CREATE EXTENSION name possible, with apt-get if need be. It is an error if it cannot.
func (s *Server) Require(ctx context.Context, name string) error {
	if there, err := s.offers(ctx, name); there || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*installLimit) // as binaries does
	defer cancel()
	done, err := takeTurn(ctx)
	if err != nil {
		return err
	}
	defer done()
	if there, err := s.offers(ctx, name); there || err != nil {
		return err
	}
	if err := s.installLanguage(ctx, name); err != nil {
		return fmt.Errorf("this PostgreSQL has no %s (install it beside the server in %s), and installing it failed: %w", name, s.bin, err)
	}
	if there, err := s.offers(ctx, name); there || err != nil {
		return err
	}
	return fmt.Errorf("a package with %s was installed, but not for the server in %s", name, s.bin)
}

func (s *Server) offers(ctx context.Context, name string) (bool, error) {
	rows, err := s.Query(ctx, "postgres", "SELECT count(*) FROM pg_available_extensions WHERE name = '"+name+"'")
	return err == nil && rows[0][0] == "1", err
}

// installLanguage installs a language for the very version of the server that is there: a newer one would replace the
// server, under whatever else runs it.
func (s *Server) installLanguage(ctx context.Context, name string) error {
	language, known := aptLanguages[name]
	if _, err := exec.LookPath("apt-get"); err != nil || !known {
		return errors.New("no package is known for it")
	}
	rows, err := s.Query(ctx, "postgres", "SELECT current_setting('server_version_num')::int / 10000")
	if err != nil {
		return err
	}
	major := rows[0][0]
	version, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", "postgresql-"+major).Output()
	if err != nil {
		return fmt.Errorf("asking for the server's package: %w", err)
	}
	return installApt(ctx, s.options.Progress, "postgresql-"+language+"-"+major+"="+strings.TrimSpace(string(version)))
}
