package session_test

import (
	"strings"
	"testing"

	"gprxy/session"
)

// What makes gprxy believe that a name stands for another text than PostgreSQL runs.
func TestNoNameMisleadsTheRecord(t *testing.T) {
	t.Parallel()
	const evil, harmless = "select 'evil'", "select 'harmless'"
	run := bindTo("", "") + executePortal("", 0) + syncing
	p := startProxy(t, quietly, recordingAs(session.RecordText))
	for name, test := range map[string]struct {
		sent  string
		ready int
		want  string
	}{
		"a Query that is skipped drops no statement": {
			parseAs("", evil) + syncing + parseAs("x", "selec") + query(harmless) + syncing + run, 3,
			`extended "select 'evil'" tag=SELECT rows=1 tx=I`},
	} {
		conn := rawSession(t, p, "WRITER")
		send(t, conn, test.sent)
		var last []received
		for range test.ready {
			last = receiveUntil(t, conn, 'Z')
		}
		if got := rows(last); len(got) != 1 || !strings.Contains(got[0], "evil") {
			t.Errorf("%s: it gave %q: this tests nothing", name, got)
		}
		p.untilEnded(conn)
		all := p.statements()
		if got := told(all[len(all)-1]); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, test.want)
		}
	}
}
