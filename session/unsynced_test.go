package session_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"gprxy/session/relay"
	"gprxy/store"
)

// What a client sent without its Sync is undone when it leaves, as PostgreSQL does at the end of a connection, and the record says
// so; the backend is used again. What was committed, or only prepared, is another matter.
func TestABatchWithoutItsSyncIsUndone(t *testing.T) {
	t.Parallel()
	p := startProxy(t, recordingAs(relay.RecordText), func(o *options) { o.pool.MaxConns = 1 })
	leave := map[string]func(*testing.T, net.Conn){
		"terminate": func(t *testing.T, conn net.Conn) { send(t, conn, message('X', "")) },
		"close":     func(_ *testing.T, conn net.Conn) { conn.Close() },
		"reset": func(_ *testing.T, conn net.Conn) {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		},
		"half close": func(_ *testing.T, conn net.Conn) { conn.(*net.TCPConn).CloseWrite() },
	}
	insert := func(id int) string { return unsynced(fmt.Sprintf("insert into items values (%d, 'unsynced')", id)) }
	for name, test := range map[string]struct {
		before, sent string
		answers      int    // CommandComplete to wait for before the client leaves
		kept         int    // rows
		undone       string // the last statement that is
	}{
		"flushed": {"", insert(-9101) + flush, 1, 0, "insert into items values (-9101, 'unsynced')"},
		"many":    {"", insert(-9101) + insert(-9102) + insert(-9103) + flush, 3, 0, "insert into items values (-9103, 'unsynced')"},
		"behind a commit": {"", unsynced("begin") + insert(-9101) + unsynced("commit") + insert(-9102) + flush, 4, 1,
			"insert into items values (-9102, 'unsynced')"},
		"all committed":        {"", unsynced("begin") + insert(-9101) + unsynced("commit") + flush, 3, 1, ""},
		"within a transaction": {query("begin"), insert(-9101) + flush, 1, 0, ""},
		"prepared alone":       {"", parseAs("p", "insert into items values (-9101, 'unsynced')") + flush, 0, 0, ""},
		"a portal half read": {"", insert(-9101) + parseAs("", "select generate_series(1, 9)") + bindTo("", "") + executePortal("", 2) + flush, 1, 0,
			"select generate_series(1, 9)"},
		"an error before": {"", insert(-9101) + unsynced("select 1/0") + insert(-9102) + flush, 1, 0, ""},
		"a COPY":          {"", insert(-9101) + unsynced("copy items from stdin") + message('d', "-9102\tunsynced\n") + flush, 1, 0, ""},
	} {
		for how, leaves := range leave {
			t.Run(name+", "+how, func(t *testing.T) {
				before := len(p.statements())
				conn := dial(t, p.addr)
				pid := backendPID(login(t, conn, "bob", token("bob@example.com", "WRITER")))
				if test.before != "" {
					send(t, conn, test.before)
					receiveUntil(t, conn, 'Z')
				}
				send(t, conn, test.sent)
				for range test.answers {
					receiveUntil(t, conn, 'C')
				}
				leaves(t, conn)
				p.untilAllEnded()
				if got := admin(t, "with gone as (delete from items where name = 'unsynced' returning 1) select count(*) from gone"); got != fmt.Sprint(test.kept) {
					t.Errorf("%s rows are kept, want %d", got, test.kept)
				}
				var undone []string
				for _, s := range p.statements()[before:] {
					if s.Outcome == store.OutcomeCut && strings.HasPrefix(s.Message, "rolled back") {
						undone = append(undone, s.SQL) // "" if the row was in the log already
					}
				}
				if got := strings.Join(undone, "; "); len(undone) > 1 || (len(undone) == 1) != (test.undone != "") || got != "" && got != test.undone {
					t.Errorf("undone: %q, want %q", got, test.undone)
				}
				next := dial(t, p.addr)
				if got := backendPID(login(t, next, "bob", token("bob@example.com", "WRITER"))); got != pid {
					t.Error("the backend was not used again")
				}
				next.Close()
				p.untilAllEnded()
			})
		}
	}
}

// unsynced is a statement in the extended protocol, without a Sync.
func unsynced(sql string) string { return parseAs("", sql) + bindTo("", "") + executePortal("", 0) }
