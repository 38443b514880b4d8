// Packages that are not what they should be.
package pooltest

import (
	"archive/tar"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packageOf writes an npm package; each entry is "name content", "name -> target" for a link.
func packageOf(t *testing.T, entries ...string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "package.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(file)
	archive := tar.NewWriter(zipped)
	for _, entry := range entries {
		name, content, _ := strings.Cut(entry, " ")
		header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o644}
		if target, link := strings.CutPrefix(content, "-> "); link {
			header.Typeflag, header.Linkname, header.Size, content = tar.TypeSymlink, target, 0, ""
		}
		if strings.Contains(name, "/bin/") {
			header.Mode = 0o755
		}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	for _, closer := range []func() error{archive.Close, zipped.Close, file.Close} {
		if err := closer(); err != nil {
			t.Fatal(err)
		}
	}
	return file.Name()
}

func TestUnpack(t *testing.T) {
	to := filepath.Join(t.TempDir(), "to")
	err := unpack(packageOf(t,
		"package/package.json {}",
		"package/native/bin/postgres program",
		"package/native/lib/libpq.so.5.18 library",
		"package/native/lib/linked -> /etc/passwd",
		`package/native/pg-symlinks.json [{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`,
	), to)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(to, "lib/libpq.so.5")); err != nil || string(content) != "library" {
		t.Errorf("through the link: %q, %v", content, err)
	}
	if info, err := os.Stat(filepath.Join(to, "bin/postgres")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program: %v, %v", info, err)
	}
	for _, name := range []string{"package.json", "lib/linked"} {
		if _, err := os.Lstat(filepath.Join(to, name)); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
}

func TestUnpackStaysInItsFolder(t *testing.T) {
	for name, entries := range map[string][]string{
		"a way out":          {"package/native/../../outside evil"},
		"an absolute name":   {"package/native//outside evil"},
		"the same name":      {"package/native/bin/a one", "package/native/bin/a two"},
		"a link elsewhere":   {`package/native/pg-symlinks.json [{"source":"/etc/passwd","target":"native/passwd"}]`},
		"a link from out":    {`package/native/pg-symlinks.json [{"source":"native/../a","target":"native/../b"}]`},
		"a list of nonsense": {"package/native/pg-symlinks.json nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := unpack(packageOf(t, entries...), filepath.Join(dir, "to")); err == nil {
				t.Error("unpacked")
			}
			if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
				t.Errorf("the folder beside it: %v, %v", all, err)
			}
		})
	}
}

func TestASumThatDiffersIsRefused(t *testing.T) {
	if err := checkSum(packageOf(t), packages[NewestMajor].sums["linux-x64"]); err == nil {
		t.Error("accepted")
	}
}
