// Where the PostgreSQL server programs come from: $PG_BIN, PATH, the usual folders, else an installation.
package pooltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// binaryGlobs are the folders packages install the server to, a version number in each.
var binaryGlobs = []string{
	"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                   // PGDG on Red Hat
	"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on Apple silicon
	"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
	"/opt/homebrew/opt/postgresql/bin",
	"/usr/local/opt/postgresql/bin",
	"/usr/local/pgsql/bin", // built from source
}

// binaries is the folder of the options, else what the machine has.
func (o Options) binaries(ctx context.Context) (string, error) {
	if o.BinDir == "" {
		return binaries(ctx, o.Progress)
	}
	if !hasServer(o.BinDir) {
		return "", fmt.Errorf("%s has no initdb and postgres", o.BinDir)
	}
	return o.BinDir, nil
}

// binaries returns the folder with initdb and postgres, installing them if no folder has them.
func binaries(ctx context.Context, progress io.Writer) (string, error) {
	if dir := os.Getenv("PG_BIN"); dir != "" {
		if !hasServer(dir) {
			return "", fmt.Errorf("PG_BIN=%s has no initdb and postgres", dir)
		}
		return dir, nil
	}
	if dir := installed(); dir != "" {
		return dir, nil
	}
	// The caller's limit is for a start; an installation has its own, and so has waiting for another one.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*installLimit)
	defer cancel()
	done, err := takeTurn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	if dir := installed(); dir != "" {
		return dir, nil
	}
	if err := install(ctx, progress); err != nil {
		return "", fmt.Errorf("no PostgreSQL server found (set PG_BIN to its bin folder), and installing one failed: %w", err)
	}
	if dir := installed(); dir != "" {
		return dir, nil
	}
	return "", errors.New("PostgreSQL was installed, but initdb and postgres are in none of the usual folders: set PG_BIN")
}

// installed returns the first folder that has the server: PATH before the newest of the usual ones.
func installed() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		// A link in PATH may stand for initdb alone: the server looks for its own files beside the real program.
		if real, err := filepath.EvalSymlinks(path); err == nil && hasServer(filepath.Dir(real)) {
			return filepath.Dir(real)
		}
	}
	var found []string
	for _, glob := range binaryGlobs {
		dirs, _ := filepath.Glob(glob) // the only error is a bad pattern
		for _, dir := range dirs {
			if hasServer(dir) {
				found = append(found, dir)
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(versionIn(a), versionIn(b)) })
}

// versionIn returns the first number in a folder's name, 0 if there is none.
func versionIn(dir string) int {
	start := -1
	for i, c := range dir + "/" {
		digit := c >= '0' && c <= '9'
		switch {
		case digit && start < 0:
			start = i
		case !digit && start >= 0:
			n, _ := strconv.Atoi(dir[start:i]) // digits only
			return n
		}
	}
	return 0
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() {
			return false
		}
	}
	return true
}
