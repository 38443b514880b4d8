// Tables for people: columns that fit the terminal, cut with …, or wrapped where everything is to be seen.

package cmd

import (
	"bufio"
	"io"
	"strings"

	"gprxy/cmd/terminal"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
)

const (
	tableGap    = 2    // spaces between columns
	tableSample = 1000 // rows that decide the widths; later ones are printed as they come
)

// column is one column of a table.
type column struct {
	title string
	right bool // numbers
	least int  // may be cut down to this many cells; 0: shown whole or not at all
	drop  int  // left out on a narrow terminal, highest first; 0: never
	live  int  // width while following, when later rows are unknown
	paint func(cell string) string
}

// table collects rows until it knows the widths, then prints. It holds tableSample rows at most.
type table struct {
	out     *bufio.Writer
	width   int  // of the terminal; 0: none, nothing is cut
	colour  bool // titles and paint
	full    bool // nothing is cut: values are wrapped, and those of columns that were left out stand below
	columns []column

	rows    [][]string // not printed yet
	widths  []int      // decided by layout; -1: left out
	unseen  []bool     // columns that were left out although a row has a value in them
	decided bool
}

func newTable(out io.Writer, width int, colour bool, columns []column) *table {
	return &table{out: bufio.NewWriter(out), width: width, colour: colour, columns: columns}
}

// add takes a row, one cell per column. The text may come from outside: it is escaped here.
func (t *table) add(cells []string) error {
	for i, cell := range cells {
		cells[i] = terminal.Printable(cell)
	}
	t.rows = append(t.rows, cells)
	if !t.decided && len(t.rows) < tableSample {
		return nil
	}
	return t.print()
}

// live decides the widths now, for rows that are still to happen, and prints the titles.
func (t *table) live() error {
	natural := make([]int, len(t.columns))
	for i, c := range t.columns {
		natural[i] = max(lipgloss.Width(c.title), c.live)
	}
	t.layout(natural)
	if err := t.print(); err != nil {
		return err
	}
	return t.out.Flush()
}

// close prints what is left; a table without rows prints nothing, not even titles.
func (t *table) close() error {
	if len(t.rows) > 0 {
		if err := t.print(); err != nil {
			return err
		}
	}
	return t.out.Flush()
}

func (t *table) print() error {
	if !t.decided {
		natural := make([]int, len(t.columns))
		for i, c := range t.columns {
			natural[i] = lipgloss.Width(c.title)
			for _, row := range t.rows {
				natural[i] = max(natural[i], lipgloss.Width(row[i]))
			}
		}
		t.layout(natural)
	}
	for _, row := range t.rows {
		print := t.line
		if t.full && t.width > 0 {
			print = t.wrapped
		}
		if err := print(row, false); err != nil {
			return err
		}
		for i, w := range t.widths {
			t.unseen[i] = t.unseen[i] || w < 0 && row[i] != "" && !t.full
		}
	}
	t.rows = t.rows[:0]
	return nil
}

// layout fits the natural widths into the terminal, and prints the titles.
func (t *table) layout(natural []int) {
	t.decided = true
	t.widths, t.unseen = natural, make([]bool, len(natural))
	if t.width > 0 {
		t.leaveOutEmpty()
		t.leaveOut()
		t.shrink()
	}
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	_ = t.line(titles, true) // out remembers the error
}

// leaveOutEmpty drops columns without a value, if anything else had to be cut for them.
func (t *table) leaveOutEmpty() {
	total := -tableGap
	for _, w := range t.widths {
		total += tableGap + w
	}
	for i := range t.columns {
		if total > t.width && len(t.rows) > 0 && t.empty(i) {
			total -= tableGap + t.widths[i]
			t.widths[i] = -1
		}
	}
}

func (t *table) empty(i int) bool {
	for _, row := range t.rows {
		if row[i] != "" {
			return false
		}
	}
	return true
}

// leaveOut drops columns until the rest fits at its least widths.
func (t *table) leaveOut() {
	for {
		total, last, worst := -tableGap, -1, 0
		for i, c := range t.columns {
			if t.widths[i] < 0 {
				continue
			}
			total += tableGap + t.floor(i)
			if c.drop > worst {
				last, worst = i, c.drop
			}
			if t.full && worst == 0 && i > 0 {
				last = i // its values stand below, so that any column but the first may go
			}
		}
		if total <= t.width || last < 0 {
			return
		}
		t.widths[last] = -1
	}
}

// floor is how narrow a column may get.
func (t *table) floor(i int) int {
	if t.columns[i].least == 0 {
		return t.widths[i]
	}
	return min(t.widths[i], max(t.columns[i].least, lipgloss.Width(t.columns[i].title)))
}

// shrink takes cells from the widest column that can spare one until all fit.
func (t *table) shrink() {
	total := -tableGap
	for i := range t.widths {
		if t.widths[i] >= 0 {
			t.widths[i] = max(t.floor(i), min(t.widths[i], t.width))
			total += tableGap + t.widths[i]
		}
	}
	for ; total > t.width; total-- {
		widest := -1
		for i, w := range t.widths {
			if w > t.floor(i) && t.columns[i].least > 0 && (widest < 0 || w > t.widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		t.widths[widest]--
	}
}

// missing names the columns with values that the terminal was too narrow for.
func (t *table) missing() []string {
	var titles []string
	for i, unseen := range t.unseen {
		if unseen {
			titles = append(titles, strings.ToLower(t.columns[i].title))
		}
	}
	return titles
}

func (t *table) line(cells []string, title bool) error {
	var b strings.Builder
	used := 0
	for i, c := range t.columns {
		if t.widths[i] < 0 {
			continue
		}
		if used > 0 {
			b.WriteString(strings.Repeat(" ", tableGap))
		}
		room := t.widths[i]
		if t.width > 0 {
			room = min(room, t.width-used)
		}
		b.WriteString(t.cell(c, cells[i], room, title))
		used += room + tableGap
		if t.width > 0 && used >= t.width {
			break // so narrow that even the least is too much
		}
	}
	_, err := t.out.WriteString(strings.TrimRight(b.String(), " ") + "\n")
	return err
}

// wrapped prints a row on as many lines as its longest value needs, and below it what had no column.
func (t *table) wrapped(cells []string, _ bool) error {
	parts, tallest := make([][]string, len(cells)), 1
	var below []string
	for i, text := range cells {
		if t.widths[i] < 0 {
			if text != "" {
				below = append(below, strings.ToLower(t.columns[i].title)+" "+text)
			}
			continue
		}
		parts[i] = wrapCell(text, t.widths[i])
		tallest = max(tallest, len(parts[i]))
	}
	for n := range tallest {
		line := make([]string, len(cells))
		for i, p := range parts {
			if n < len(p) {
				line[i] = p[n]
			}
		}
		if err := t.line(line, false); err != nil {
			return err
		}
	}
	if len(below) == 0 {
		return nil
	}
	const indent = "    "
	for _, line := range wrapCell(strings.Join(below, ", "), t.width-len(indent)) {
		if _, err := t.out.WriteString(indent + line + "\n"); err != nil {
			return err
		}
	}
	return nil
}

// wrapCell breaks a text at its blanks, and within what is longer than a line.
func wrapCell(text string, width int) []string {
	var lines []string
	line := ""
	for i, word := range strings.Split(text, " ") {
		if i > 0 && lipgloss.Width(line)+1+lipgloss.Width(word) <= width {
			line += " " + word
			continue
		}
		if i > 0 {
			lines = append(lines, line)
		}
		for lipgloss.Width(word) > width {
			head := ansi.Truncate(word, width, "")
			if head == "" {
				break // one letter that is wider than the column
			}
			lines, word = append(lines, head), word[len(head):]
		}
		line = word
	}
	return append(lines, line)
}

// cell is the text cut, padded and painted.
func (t *table) cell(c column, text string, room int, title bool) string {
	if t.width > 0 {
		text = ansi.Truncate(text, room, "…")
	}
	pad := strings.Repeat(" ", max(0, room-lipgloss.Width(text)))
	switch {
	case t.colour && title:
		text = bold(text)
	case t.colour && c.paint != nil:
		text = c.paint(text)
	}
	if c.right {
		return pad + text
	}
	return text + pad
}

// The few colours we use, all from the terminal's own palette.
func bold(s string) string   { return "\x1b[1m" + s + "\x1b[0m" }
func red(s string) string    { return "\x1b[31m" + s + "\x1b[0m" }
func green(s string) string  { return "\x1b[32m" + s + "\x1b[0m" }
func yellow(s string) string { return "\x1b[33m" + s + "\x1b[0m" }
