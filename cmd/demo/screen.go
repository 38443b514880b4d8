// The screen: titles, command lines and what came back, in at most 100 columns, coloured on a terminal only.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"golang.org/x/term"
)

const (
	maxWidth = 100
	margin   = "    " // before everything that stands under a title
)

// screen is where the story is told.
type screen struct {
	out    io.Writer
	width  int // columns of the story, the margin included
	wide   int // columns there are: gprxy's tables may use them all
	colour bool
}

// newScreen makes the screen for a file that may be a terminal.
func newScreen(f *os.File) *screen {
	s := &screen{out: f, width: maxWidth, wide: maxWidth}
	if fd := int(f.Fd()); term.IsTerminal(fd) {
		s.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" // https://no-color.org
		if width, _, err := term.GetSize(fd); err == nil && width >= 40 {
			s.width, s.wide = min(width, maxWidth), width
		}
	}
	return s
}

// room is how many columns are left beside the margin.
func (s *screen) room() int { return s.width - len(margin) }

// tableRoom is the same for tables.
func (s *screen) tableRoom() int { return s.wide - len(margin) }

// heading stands above a part of the demo that is no step.
func (s *screen) heading(text string) {
	for _, l := range fold(text, s.width, "") {
		fmt.Fprintln(s.out, s.paint(bold, l))
	}
}

func (s *screen) title(number int, text string) {
	fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, fmt.Sprintf("%2d  %s", number, text)))
}

// command shows a command line as one would type it, on several lines if it is long.
func (s *screen) command(line string) {
	lines := breakCommand(line, s.room()-len("$ "))
	for i, l := range lines {
		prompt := "$ "
		if i > 0 {
			prompt = "  "
		}
		fmt.Fprintf(s.out, "%s%s\n", margin, s.paint(cyan, prompt+l))
	}
}

// output shows what a program printed. Empty lines are left out, long ones folded.
func (s *screen) output(text string) { s.lines(text, s.room()) }

// table shows what may use the whole terminal.
func (s *screen) table(text string) { s.lines(text, s.tableRoom()) }

func (s *screen) lines(text string, width int) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \r\n")
		if line == "" {
			continue
		}
		for _, l := range fold(line, width, "  ") {
			fmt.Fprintf(s.out, "%s%s\n", margin, l)
		}
	}
}

// say adds a remark to what was shown.
func (s *screen) say(format string, args ...any) {
	for _, l := range fold(fmt.Sprintf(format, args...), s.room()-len("# "), "") {
		fmt.Fprintf(s.out, "%s# %s\n", margin, l)
	}
}

// ok says what was just proved.
func (s *screen) ok(format string, args ...any) {
	for i, l := range fold(fmt.Sprintf(format, args...), s.room()-len("ok  "), "") {
		mark := s.paint(green, "ok") + "  "
		if i > 0 {
			mark = "    "
		}
		fmt.Fprintf(s.out, "%s%s%s\n", margin, mark, l)
	}
}

// done ends the story.
func (s *screen) done(format string, args ...any) {
	fmt.Fprintf(s.out, "\n%s\n", s.paint(green, fmt.Sprintf(format, args...)))
}

type paint string

const (
	bold  paint = "1"
	red   paint = "31"
	green paint = "32"
	cyan  paint = "36"
)

func (s *screen) paint(p paint, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + string(p) + "m" + text + "\x1b[0m"
}

// breakCommand breaks a command line at blanks with a backslash, which a shell takes back, also between
// double quotes. A word that is longer than width stays whole, so that it can be copied.
func breakCommand(line string, width int) []string {
	const more, indent = ` \`, "  "
	lines := breakWords(strings.Fields(line), width-len(more), indent)
	for i := range len(lines) - 1 {
		lines[i] += more
	}
	return lines
}

// fold breaks text at blanks; what fits stays as it is.
func fold(text string, width int, indent string) []string {
	if lipgloss.Width(text) <= width {
		return []string{text}
	}
	return breakWords(strings.Split(text, " "), width, indent)
}

// breakWords fills lines of width with words, all but the first line indented.
func breakWords(words []string, width int, indent string) []string {
	var lines []string
	line := ""
	for _, w := range words {
		switch {
		case line == "":
			line = w
		case lipgloss.Width(line)+1+lipgloss.Width(w) > width:
			lines = append(lines, line)
			line = indent + w
		default:
			line += " " + w
		}
	}
	return append(lines, line)
}
