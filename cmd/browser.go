// Opening a page in the person's browser, and knowing when there is none.

package cmd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"gprxy/cmd/settings"
)

// openBrowser asks the desktop to show an address and does not wait: some openers live as long as the
// browser. That nothing came up is no error, since the address was printed too.
func (c *call) openBrowser(address string) error {
	opener := "xdg-open"
	if runtime.GOOS == "darwin" {
		opener = "open"
	}
	path := c.lookPath(opener)
	if path == "" {
		return fmt.Errorf("there is no %s to open a browser with", opener)
	}
	browser := exec.Command(path, address)
	browser.Env = without(c.Variables, settings.TokenVariable)
	if err := browser.Start(); err != nil {
		return fmt.Errorf("open the browser: %w", err)
	}
	return browser.Process.Release()
}

// noBrowser says why a browser cannot come up here, or "".
func (c *call) noBrowser() string {
	switch {
	case c.variable("DISPLAY") != "" || c.variable("WAYLAND_DISPLAY") != "" || c.variable("BROWSER") != "":
		return ""
	case c.variable("SSH_CONNECTION") != "" || c.variable("SSH_TTY") != "":
		return "this is a session over SSH"
	case runtime.GOOS == "linux":
		return "there is no display here"
	}
	return ""
}

// lookPath finds a program as the shell would, by the PATH of the environment given; "" if there is none.
func (c *call) lookPath(name string) string {
	for _, dir := range filepath.SplitList(c.variable("PATH")) {
		if !filepath.IsAbs(dir) {
			continue // as exec.LookPath: what lies in the working directory is not run by chance
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// without returns an environment without some variables.
func without(environ []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return slices.Contains(names, name)
	})
}
