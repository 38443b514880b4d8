// Which PostgreSQL the pools can serve.
package pool

import (
	"fmt"
	"strconv"
	"strings"
)

// OldestMajor is the oldest major version of PostgreSQL that backends are taken of: what they are asked does not exist before.
const OldestMajor = 13

// VersionError says that the server is an older PostgreSQL.
type VersionError struct {
	Version string // as the server says it, up to the first blank
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("PostgreSQL %s is too old for gprxy, which needs %d or later", e.Version, OldestMajor)
}

// checkVersion refuses a server that says it is too old. One that does not say what it is will be found out by the questions.
func (t *loginObserver) checkVersion() error {
	if major := t.majorVersion(); major == 0 || major >= OldestMajor {
		return nil
	}
	version, _, _ := strings.Cut(t.parameter("server_version"), " ")
	return &VersionError{version}
}

// majorVersion is 0 if PostgreSQL did not say.
func (t *loginObserver) majorVersion() int {
	version := t.parameter("server_version")
	major, _ := strconv.Atoi(version[:len(version)-len(strings.TrimLeft(version, "0123456789"))])
	return major
}
