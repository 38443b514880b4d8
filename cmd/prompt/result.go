// A result: rows held until the widths of the columns are known, then printed.

package prompt

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// The rows that decide the widths; later ones are printed as they come and may stand out.
const (
	sampleRows  = 10_000
	sampleBytes = 32 << 20
)

// numeric are the types that are aligned to the right: OIDs of pg_type.
var numeric = map[uint32]bool{
	20: true, 21: true, 23: true, // int8, int2, int4
	26: true, 28: true, 29: true, 5069: true, // oid, xid, cid, xid8
	700: true, 701: true, 1700: true, 790: true, // float4, float8, numeric, money
}

// result prints one result set.
type result struct {
	out      *bufio.Writer
	expanded bool
	title    string
	footer   *string // instead of the number of rows, if it is not nil
	names    []string
	right    []bool

	held    [][]string
	bytes   int
	count   int
	widths  []int // of the columns; expanded: of the widest value, alone
	longest int   // expanded: of the heads of the records that were held then
	decided bool
}

func newResult(out *bufio.Writer, expanded bool, fields []pgproto3.FieldDescription) *result {
	r := &result{out: out, expanded: expanded}
	for _, f := range fields {
		r.column(string(f.Name), numeric[f.DataTypeOID])
	}
	return r
}

func (r *result) column(name string, right bool) {
	r.names = append(r.names, strings.Join(cell(name), `\n`))
	r.right = append(r.right, right)
}

// add takes a row; a NULL is nil and looks like an empty text.
func (r *result) add(values [][]byte) error {
	row := make([]string, len(r.names))
	for i := range min(len(row), len(values)) {
		row[i] = string(values[i])
		r.bytes += len(row[i])
	}
	r.held = append(r.held, row)
	if !r.decided && len(r.held) < sampleRows && r.bytes < sampleBytes {
		return nil
	}
	return r.print()
}

// end prints what is left.
func (r *result) end() error {
	if err := r.print(); err != nil {
		return err
	}
	switch {
	case r.footer != nil:
		r.out.WriteString(*r.footer)
	case r.expanded && r.count > 0 && len(r.names) > 0:
	case r.count == 1:
		r.out.WriteString("(1 row)\n")
	default:
		fmt.Fprintf(r.out, "(%d rows)\n", r.count)
	}
	return r.out.WriteByte('\n')
}

// print prints the rows held. The output remembers its first failure, so only the last write is looked at.
func (r *result) print() error {
	if !r.decided {
		r.decide()
	}
	for _, row := range r.held {
		r.count++
		switch {
		case len(row) == 0:
		case r.expanded:
			r.record(row)
		default:
			r.row(row)
		}
	}
	r.held = r.held[:0]
	_, err := r.out.WriteString("")
	return err
}

// decide takes the widths from the rows held, and prints the titles.
func (r *result) decide() {
	r.decided = true
	r.widths = make([]int, len(r.names))
	r.longest = len(recordHead(len(r.held)))
	for i, name := range r.names {
		if !r.expanded {
			r.widths[i] = width(name)
		}
		for _, row := range r.held {
			for _, line := range cell(row[i]) {
				r.widths[i] = max(r.widths[i], width(line))
			}
		}
	}
	if !r.expanded {
		r.titles()
	}
}

func (r *result) titles() {
	if r.title != "" {
		whole := max(0, len(r.widths)-1)
		for _, w := range r.widths {
			whole += w + 2
		}
		fmt.Fprintf(r.out, "%s%s\n", blanks((whole-width(r.title))/2), r.title)
	}
	if len(r.names) == 0 {
		r.out.WriteString("--\n")
		return
	}
	for i, name := range r.names {
		if i > 0 {
			r.out.WriteByte('|')
		}
		spare := r.widths[i] - width(name)
		fmt.Fprintf(r.out, " %s%s%s ", blanks(spare/2), name, blanks(spare-spare/2))
	}
	r.out.WriteByte('\n')
	for i, w := range r.widths {
		if i > 0 {
			r.out.WriteByte('+')
		}
		r.out.WriteString(strings.Repeat("-", w+2))
	}
	r.out.WriteByte('\n')
}

// row prints one row, which takes as many lines as its tallest value; + stands where a value goes on.
func (r *result) row(values []string) {
	cells := make([][]string, len(values))
	tallest := 1
	for i, v := range values {
		cells[i] = cell(v)
		tallest = max(tallest, len(cells[i]))
	}
	for line := range tallest {
		for i, lines := range cells {
			r.piece(i, lines, line)
		}
		r.out.WriteByte('\n')
	}
}

// piece prints one line of one value. Nothing follows the last column.
func (r *result) piece(i int, lines []string, line int) {
	text, more := "", line < len(lines)-1
	if line < len(lines) {
		text = lines[line]
	}
	if i > 0 {
		r.out.WriteByte('|')
	}
	pad := blanks(r.widths[i] - width(text))
	r.out.WriteByte(' ')
	if r.right[i] {
		r.out.WriteString(pad)
	}
	r.out.WriteString(text)
	last := i == len(r.widths)-1
	if !r.right[i] && (!last || more) {
		r.out.WriteString(pad)
	}
	switch {
	case more:
		r.out.WriteByte('+')
	case !last:
		r.out.WriteByte(' ')
	}
}

// record prints a row with one line for each column.
func (r *result) record(values []string) {
	left, right := 0, 0
	for i, name := range r.names {
		left, right = max(left, width(name)), max(right, r.widths[i])
	}
	if r.count == 1 && r.title != "" {
		fmt.Fprintln(r.out, r.title)
	}
	// As of 15.20, psql gives values of many lines the whole width of the head, with the sign that they go on.
	whole := max(right, r.longest-left-len(" | ")-len("+"))
	head := recordHead(r.count)
	rule := strings.Repeat("-", left+1) + "+" + strings.Repeat("-", right+1)
	fmt.Fprintln(r.out, head+rule[min(len(head), len(rule)):])
	for i, value := range values {
		lines := cell(value)
		for n, text := range lines {
			name, mark := "", " "
			if n == 0 {
				name = r.names[i]
			}
			end := ""
			if n < len(lines)-1 {
				end = blanks(whole-width(text)) + "+"
			}
			fmt.Fprintf(r.out, "%s%s %s%s%s%s\n", name, blanks(left-width(name)), "|", mark, text, end)
		}
	}
}

func recordHead(n int) string { return fmt.Sprintf("-[ RECORD %d ]", n) }

func blanks(n int) string { return strings.Repeat(" ", max(0, n)) }
