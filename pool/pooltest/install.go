// Installing PostgreSQL with the system's package manager, without starting or touching a server.
package pooltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

const installLimit = 10 * time.Minute

// install installs PostgreSQL with apt-get or brew and says so on progress.
func install(ctx context.Context, progress io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, installLimit)
	defer cancel()
	if _, err := exec.LookPath("apt-get"); err == nil {
		return installApt(ctx, progress, "postgresql")
	}
	if _, err := exec.LookPath("brew"); err == nil {
		return run(ctx, progress, "brew", "install", "postgresql@17")
	}
	return errors.New("neither apt-get nor brew is here")
}

// noCluster is a file postgresql-common reads before it would make and start a cluster of its own.
const noCluster = "/etc/postgresql-common/createcluster.d/gprxy-pooltest.conf"

// installApt installs a package as root or with sudo, and without a cluster: "postgresql" is the distribution's default
// server.
func installApt(ctx context.Context, progress io.Writer, name string) error {
	var asRoot []string
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("sudo"); err != nil {
			return errors.New("apt-get needs root, and sudo is not here")
		}
		asRoot = []string{"sudo", "-n"}
	}
	for _, step := range [][]string{
		{"sh", "-c", "mkdir -p " + filepath.Dir(noCluster) + " && echo 'create_main_cluster = false' > " + noCluster},
		{"apt-get", "update", "-qq"},
		{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "-o", "DPkg::Lock::Timeout=120", "--no-install-recommends",
			name},
		{"rm", "-f", noCluster}, // the next installation is the administrator's
	} {
		command := slices.Concat(asRoot, step)
		if err := run(ctx, progress, command[0], command[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// run runs one command, its output on progress.
func run(ctx context.Context, progress io.Writer, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.Stdout, command.Stderr = progress, progress
	fmt.Fprintf(progress, "pooltest: installing PostgreSQL: %s\n", command)
	if err := command.Run(); err != nil {
		return fmt.Errorf("running %s: %w", command, err)
	}
	return nil
}
