// What a command may know about the process it runs in, given as values so that tests need no real one.

package cmd

import (
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// IO is where a command reads and writes.
type IO struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer

	OutWidth int // columns of the terminal that Out is; 0: Out is no terminal
	ErrWidth int // likewise for Err
}

// StandardIO is the process's own input and outputs.
func StandardIO() IO {
	return IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, OutWidth: terminalWidth(os.Stdout), ErrWidth: terminalWidth(os.Stderr)}
}

// terminalWidth is 0 for what is no terminal, and at least 20 otherwise.
func terminalWidth(f *os.File) int {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) {
		return 0
	}
	width, _, err := term.GetSize(fd)
	if err != nil || width == 0 {
		width = 80 // a serial console or an expect script does not say
	}
	return max(width, 20)
}

// Environment is what surrounds a command.
type Environment struct {
	Variables []string         // NAME=value, as os.Environ gives them
	Dir       string           // the working directory, where .env is looked for
	Now       func() time.Time // the clock for --since and for events; never nil
	OSUser    string           // the person at the keyboard, for log.read
}

// ProcessEnvironment is the environment of this process.
func ProcessEnvironment() Environment {
	dir, err := os.Getwd()
	if err != nil {
		dir = "." // deleted under us: relative paths fail with their own text
	}
	return Environment{Variables: os.Environ(), Dir: dir, Now: time.Now, OSUser: osUser()}
}

// osUser names the person: under sudo the one who typed sudo, so that log.read tells who read.
func osUser() string {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if by := os.Getenv("SUDO_USER"); by != "" && by != name {
		return name + " (sudo by " + by + ")"
	}
	return name
}

func (e Environment) variable(name string) string {
	for _, line := range e.Variables {
		if n, value, ok := strings.Cut(line, "="); ok && n == name {
			return value
		}
	}
	return ""
}

// home is the home folder, or "".
func (e Environment) home() string { return e.variable("HOME") }

// colour reports whether a terminal of this width (0: no terminal) may get colours: https://no-color.org.
func (e Environment) colour(width int) bool {
	return width > 0 && e.variable("NO_COLOR") == "" && e.variable("TERM") != "dumb"
}
