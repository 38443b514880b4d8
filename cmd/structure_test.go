// The rules of the house, kept by go list: who may import whom, and where a third-party package lives.

package cmd

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// folders is which folders of ours the code and the tests of a folder may import, besides its own subfolders.
var folders = map[string]struct{ code, tests []string }{
	".":          {code: []string{"cmd"}},
	"cmd":        {code: []string{"listener", "session", "auth", "pool", "store", "migrations"}},
	"session":    {code: []string{"auth", "pool", "store"}, tests: []string{"listener"}},
	"store":      {code: []string{"migrations"}},
	"listener":   {},
	"auth":       {},
	"pool":       {},
	"migrations": {},
	"bench":      {code: []string{"listener", "session", "auth", "pool", "store", "cmd"}},
	"deploy":     {code: []string{"listener", "session", "auth", "pool", "store", "cmd"}},
}

// rooms is which packages of ours the code of a package may import that is a room of its folder: it knows nothing of those who
// use it.
var rooms = map[string][]string{
	"gprxy/cmd/export":        {"gprxy/cmd/terminal", "gprxy/store"},
	"gprxy/cmd/metrics":       {"gprxy/auth", "gprxy/pool", "gprxy/store"},
	"gprxy/cmd/settings":      {"gprxy/auth", "gprxy/auth/sso", "gprxy/listener", "gprxy/pool", "gprxy/session/sqltext", "gprxy/store"},
	"gprxy/cmd/terminal":      {},
	"gprxy/pool/wire":         {},
	"gprxy/session/admission": {"gprxy/store"},
	"gprxy/session/refusal":   {"gprxy/auth", "gprxy/pool", "gprxy/store"},
	"gprxy/session/relay": {
		"gprxy/auth", "gprxy/pool", "gprxy/pool/wire", "gprxy/store", "gprxy/session/refusal", "gprxy/session/socket", "gprxy/session/sqltext",
	},
	"gprxy/session/socket":  {},
	"gprxy/session/sqltext": {},
	"gprxy/session/startup": {"gprxy/pool", "gprxy/pool/wire", "gprxy/session/refusal", "gprxy/session/socket"},
	"gprxy/session/tunnel": {
		"gprxy/auth", "gprxy/auth/sso", "gprxy/pool/wire", "gprxy/session/refusal", "gprxy/session/relay", "gprxy/session/socket",
		"gprxy/session/startup",
	},
}

// homes is where a module may be imported, by prefix of the import path; the longest prefix counts.
var homes = map[string][]string{
	"github.com/jackc/pgproto3/v2": {"session"},
	"github.com/jackc/pgx/v5":      {"pool", "bench", "deploy"},
	// In session for PgError, which pool returns; in cmd because the prompt of connect is a client.
	"github.com/jackc/pgx/v5/pgconn":   {"pool", "session", "cmd"},
	"github.com/jackc/pgx/v5/pgproto3": {"pool", "session", "cmd"},
	// In session for the bind values that are recorded.
	"github.com/jackc/pgx/v5/pgtype": {"pool", "session"},
	"github.com/lestrrat-go/jwx/v2":  {"auth"},
	"golang.org/x/oauth2":            {"auth"},
	"modernc.org/sqlite":             {"store"},
	"github.com/spf13/pflag":         {"cmd"},
	"github.com/charmbracelet":       {"cmd"},
	"github.com/joho/godotenv":       {"cmd"},
	"github.com/prometheus":          {"cmd"},
	"github.com/coreos/go-systemd":   {"cmd"},
}

// freeInTests may be imported by every test: a real client, and a look into the file.
var freeInTests = []string{"github.com/jackc/pgx/v5", "modernc.org/sqlite", "github.com/jackc/pgproto3/v2"}

type goPackage struct {
	ImportPath, Doc                    string
	Imports, TestImports, XTestImports []string
	GoFiles                            []string
	DepsErrors                         []struct{ Err string }
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "-json", "gprxy/...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 4 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	return packages
}

// folder is the top-level folder of one of our import paths.
func folder(importPath string) string {
	rest, ok := strings.CutPrefix(importPath, "gprxy/")
	if !ok {
		return "."
	}
	top, _, _ := strings.Cut(rest, "/")
	return top
}

func TestImportsFollowTheArrows(t *testing.T) {
	for _, p := range listPackages(t) {
		rules, known := folders[folder(p.ImportPath)]
		if !known {
			t.Errorf("%s: there is no such folder in the house", p.ImportPath)
		}
		checkArrows(t, p, p.Imports, rules.code, "")
		checkArrows(t, p, slices.Concat(p.TestImports, p.XTestImports), slices.Concat(rules.code, rules.tests), " in tests")
	}
}

func TestRoomsAreLeaves(t *testing.T) {
	for _, p := range listPackages(t) {
		allowed, room := rooms[p.ImportPath]
		for _, i := range p.Imports {
			if room && strings.HasPrefix(i, "gprxy/") && !slices.Contains(allowed, i) {
				t.Errorf("%s imports %s: it is to be read without that", p.ImportPath, i)
			}
		}
	}
}

func checkArrows(t *testing.T, p goPackage, imports, allowed []string, where string) {
	t.Helper()
	for _, i := range imports {
		if i != "gprxy" && !strings.HasPrefix(i, "gprxy/") {
			continue
		}
		if folder(i) != folder(p.ImportPath) && !slices.Contains(allowed, folder(i)) {
			t.Errorf("%s imports %s%s: against the arrows", p.ImportPath, i, where)
		}
	}
}

func TestThirdPartyPackagesStayAtHome(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, i := range p.Imports {
			if home, ok := homeOf(i); ok && !slices.Contains(home, folder(p.ImportPath)) {
				t.Errorf("%s imports %s, whose home is %s", p.ImportPath, i, strings.Join(home, ", "))
			}
		}
		for _, i := range slices.Concat(p.TestImports, p.XTestImports) {
			free := slices.ContainsFunc(freeInTests, func(m string) bool { return i == m || strings.HasPrefix(i, m+"/") })
			if home, ok := homeOf(i); ok && !free && !slices.Contains(home, folder(p.ImportPath)) {
				t.Errorf("the tests of %s import %s, whose home is %s", p.ImportPath, i, strings.Join(home, ", "))
			}
		}
	}
}

func homeOf(importPath string) ([]string, bool) {
	for at := importPath; at != "."; at = path.Dir(at) {
		if home, ok := homes[at]; ok {
			return home, true
		}
	}
	return nil, false
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range listPackages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		for name := range strings.SplitSeq(p.ImportPath, "/") {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc", "internal"}, name) {
				t.Errorf("%s: a folder is named after a stage of a connection's life, not %s", p.ImportPath, name)
			}
		}
	}
}
