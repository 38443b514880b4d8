// Client programs: what is beside the server, else what the machine has.
package pooltest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Program returns the path of one of PostgreSQL's client programs (psql, pgbench). The one beside the server comes first. A
// release from Release has none, so the newest one that is installed in the usual folders follows, and then PATH. These are of
// another major version, which psql and pgbench do not mind; pg_dump, pg_basebackup and pg_receivewal refuse a server that is
// newer than they are. It is an error if there is none.
func (s *Server) Program(name string) (string, error) {
	beside := filepath.Join(s.bin, name)
	if isProgram(beside) {
		return beside, nil
	}
	var found []string
	for _, glob := range binaryGlobs {
		dirs, _ := filepath.Glob(glob) // the only error is a bad pattern
		for _, dir := range dirs {
			if path := filepath.Join(dir, name); isProgram(path) {
				found = append(found, path)
			}
		}
	}
	if len(found) > 0 {
		return slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(versionIn(a), versionIn(b)) }), nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("no %s is beside the server in %s, in the usual folders or in PATH: install PostgreSQL's client programs", name,
			s.bin)
	}
	return path, nil
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}
