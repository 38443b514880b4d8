// Errors and notices of the server, told as psql tells them.

package prompt

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// lockedWriter lets the watcher of Ctrl-C and the statement speak at the same time.
type lockedWriter struct {
	mu sync.Mutex // guards to
	to io.Writer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

// complain tells what is wrong here rather than at the server.
func (p *prompt) complain(text string) {
	_ = p.out.Flush() // what was printed before stands before; a broken output is found by the next write
	fmt.Fprintln(p.Err, "gprxy: "+safe(text))
}

// refuse is complain for what was asked for.
func (p *prompt) refuse(text string) error {
	p.complain(text)
	return errFailed
}

// fail shows an error of the server that sql was answered with.
func (p *prompt) fail(e *pgconn.PgError, sql string) {
	_ = p.out.Flush()
	io.WriteString(p.Err, report(e, sql))
}

func (p *prompt) notice(n *pgconn.PgError) {
	_ = p.out.Flush()
	told := *n
	told.Where = "" // as psql: where it came from counts for errors only
	io.WriteString(p.Err, report(&told, ""))
}

// report writes an error or notice with the line it means and a caret below the place.
func report(e *pgconn.PgError, sql string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:  %s\n", safe(e.Severity), safe(e.Message))
	switch {
	case e.Position > 0 && sql != "":
		b.WriteString(excerpt(sql, int(e.Position)))
	case e.InternalPosition > 0 && e.InternalQuery != "":
		b.WriteString(excerpt(e.InternalQuery, int(e.InternalPosition)))
	}
	for _, part := range []struct{ title, text string }{
		{"DETAIL", e.Detail}, {"HINT", e.Hint}, {"QUERY", e.InternalQuery}, {"CONTEXT", e.Where},
	} {
		if part.text != "" {
			fmt.Fprintf(&b, "%s:  %s\n", part.title, safe(part.text))
		}
	}
	return b.String()
}

const (
	excerptWidth = 60 // columns of a statement's line that are shown
	excerptRight = 10 // of them at least behind the place
)

// excerpt shows the line of sql that holds a position, counted in characters from 1.
func excerpt(sql string, position int) string {
	letters := []rune(sql)
	at := position - 1
	if at > len(letters) {
		return ""
	}
	start, number := 0, 1
	for i, r := range letters[:at] {
		if r == '\n' {
			start, number = i+1, number+1
		}
	}
	end := start
	for end < len(letters) && letters[end] != '\n' && letters[end] != '\r' {
		end++
	}
	before, after := oneLine(letters[start:min(at, end)]), oneLine(letters[min(at, end):end])
	before, after = clip(before, after)
	head := fmt.Sprintf("LINE %d: %s", number, before)
	return head + after + "\n" + strings.Repeat(" ", width(head)) + "^\n"
}

func oneLine(letters []rune) string { return safe(strings.ReplaceAll(string(letters), "\t", " ")) }

// clip cuts a long line at its end, then at its beginning, so that the place stays in view.
func clip(before, after string) (string, string) {
	if width(before)+width(after) <= excerptWidth {
		return before, after
	}
	room := max(excerptRight, excerptWidth-width(before))
	if width(after) > room {
		after = cut(after, room) + "..."
	}
	if room := excerptWidth - min(width(after), excerptRight); width(before) > room {
		letters := []rune(before)
		for width(string(letters)) > room {
			letters = letters[1:]
		}
		before = "..." + string(letters)
	}
	return before, after
}

func cut(text string, room int) string {
	letters := []rune(text)
	for width(string(letters)) > room {
		letters = letters[:len(letters)-1]
	}
	return string(letters)
}
