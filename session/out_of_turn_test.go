package session_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"gprxy/session/relay"
	"gprxy/store"
)

// What PostgreSQL says when nobody asked for it just then. In a batch without its Sync the
// statement timeout runs on while PostgreSQL waits for the client, and the error falls on
// the next message, whatever its type.

// overdue brings a session to where the statement timeout has run out in an open batch.
func overdue(t *testing.T, conn net.Conn, flush ...string) {
	t.Helper()
	send(t, conn, query("set statement_timeout = 100"))
	receiveUntil(t, conn, 'Z')
	send(t, conn, parseAs("", "select 'in the batch'")+strings.Join(flush, ""))
	admin(t, "select pg_sleep(0.6)") // by the clock that the timeout runs by
}

// kinds are the types of messages, those that may come at any time left out.
func kinds(all []received) string {
	var b strings.Builder
	for _, m := range all {
		if !strings.ContainsRune("NSA", rune(m.kind)) {
			b.WriteByte(m.kind)
		}
	}
	return b.String()
}

// Each type of message may be the one that the error falls on. What comes behind it is
// recorded as what it is, and the backend serves the next.
func TestAnErrorOutOfTurnIsBookedOnNobodyElse(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, recordingAs(relay.RecordText), func(o *options) { o.pool.MaxConns = 1 })
	const skipped = "select 'skipped'"
	for name, test := range map[string]struct {
		next    string // gets the error
		answer  string // to it
		then    string // what ends the batch
		closing string // the answer to that
	}{
		"CopyData":            {next: message('d', "1\n"), answer: "1EZ"},
		"CopyDone":            {next: message('c', ""), answer: "1EZ"},
		"CopyFail":            {next: message('f', "no\x00"), answer: "1EZ"},
		"Flush":               {next: message('H', ""), answer: "1E", then: query(skipped) + parseAs("", skipped) + syncing, closing: "Z"},
		"Parse":               {next: parseAs("", skipped), answer: "1E", then: syncing, closing: "Z"},
		"Bind":                {next: bindTo("", ""), answer: "1E", then: query(skipped) + syncing, closing: "Z"},
		"Describe":            {next: message('D', "S\x00"), answer: "1E", then: query(skipped) + syncing, closing: "Z"},
		"Execute":             {next: executePortal("", 0), answer: "1E", then: query(skipped) + syncing, closing: "Z"},
		"Close":               {next: message('C', "S\x00"), answer: "1E", then: query(skipped) + syncing, closing: "Z"},
		"Sync":                {next: syncing, answer: "1EZ"},
		"CopyData many times": {next: strings.Repeat(message('d', "1\n"), 3) + message('c', ""), answer: "1EZ"},
	} {
		conn := rawSession(t, p, "WRITER")
		overdue(t, conn)
		send(t, conn, test.next)
		last := test.answer[len(test.answer)-1]
		if got := kinds(receiveUntil(t, conn, last)); got != test.answer {
			t.Errorf("%s was answered with %s, want %s", name, got, test.answer)
		}
		if test.then != "" {
			send(t, conn, test.then)
			if got := kinds(receiveUntil(t, conn, 'Z')); got != test.closing {
				t.Errorf("%s: the rest was answered with %s", name, got)
			}
		}
		ran := fmt.Sprintf("select 'ran after %s'", name)
		send(t, conn, query(ran)+query("select 1/0"))
		receiveUntil(t, conn, 'Z')
		receiveUntil(t, conn, 'Z')
		p.untilEnded(conn)
		if got := p.outcome(ran); got != "" {
			t.Errorf("%s: what ran after it is recorded as %q", name, got)
		}
		for _, s := range p.statements() {
			if s.SQL == skipped && s.Outcome != store.OutcomeSkipped && s.SQLState != "57014" || s.Doubt != "" {
				t.Errorf("%s: recorded %s doubt=%q", name, told(s), s.Doubt)
			}
		}
	}
	if got := p.backends(); len(got) != 1 {
		t.Errorf("the sessions had the backends %v, want one", got)
	}
}

// Where it cannot be told whose the error is, nothing that follows has an outcome, each text
// is there, and the backend is closed.
func TestDoubtIsLoud(t *testing.T) {
	t.Parallel()
	admin(t, "create table loud (n int)")
	admin(t, "grant all on loud to app_writer")
	t.Cleanup(func() { admin(t, "drop table loud") })
	const ran = "insert into loud values (1)"
	extended := parseAs("", ran) + bindTo("", "") + executePortal("", 0) + syncing
	for name, sent := range map[string]string{
		"a Flush, CopyData":               message('H', "") + message('d', "1\n") + syncing + query(ran),
		"CopyData, then a Query":          message('d', "1\n") + query(ran),
		"CopyFail, then a batch":          message('f', "no\x00") + extended,
		"CopyDone and Flush, then a Sync": message('c', "") + message('H', "") + syncing + query(ran),
		"CopyData, closes, then a batch":  message('d', "1\n") + strings.Repeat(message('C', "Sx\x00"), 1100) + extended,
	} {
		for _, strict := range []bool{false, true} {
			p := startProxy(t, quietly, recordingAs(relay.RecordText), func(o *options) {
				o.session.Statements.Strict = strict
				o.pool.MaxConns = 1
			})
			conn := rawSession(t, p, "WRITER")
			overdue(t, conn)
			before := admin(t, "select count(*) from loud")
			send(t, conn, sent)
			eventually(t, "the row is inserted", 20*time.Second, func() bool { return admin(t, "select count(*) from loud") != before })
			p.untilEnded(conn)
			for _, s := range p.statements() {
				if s.SQL == ran && (s.Outcome != store.OutcomeUnknown || s.Doubt == "") {
					t.Errorf("%s (strict %v): recorded %s doubt=%q", name, strict, told(s), s.Doubt)
				}
			}
			p.wantText(ran, "statement.executed")
			if strict {
				p.wantText(ran, "statement.started")
			}
			if got := p.sessions()[0]; got.Doubt == "" {
				t.Errorf("%s: the end of the session says nothing of the doubt", name)
			}
			next := rawSession(t, p, "WRITER")
			p.untilEnded(next)
			if got := p.backends(); len(got) != 2 {
				t.Errorf("%s: the backend was used again", name)
			}
		}
	}
}

// Between an error and its ReadyForQuery lies the rollback, which can take long. What comes
// meanwhile is worked through after it.
func TestWhatIsSentDuringALongRollback(t *testing.T) {
	t.Parallel()
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "WRITER")
	send(t, conn, query("begin")+query("select count(pg_advisory_xact_lock(n)) from generate_series(1, 9000) n"))
	receiveUntil(t, conn, 'Z')
	receiveUntil(t, conn, 'Z')
	overdue(t, conn)
	send(t, conn, message('d', "1\n"))
	receiveUntil(t, conn, 'E')
	for i := range 5 {
		send(t, conn, query(fmt.Sprintf("select 'during the rollback %d'", i))+query("select 1/0"))
	}
	send(t, conn, query("rollback"))
	for range 12 {
		receiveUntil(t, conn, 'Z')
	}
	p.untilEnded(conn)
	for _, s := range p.statements() {
		want := ""
		if strings.Contains(s.SQL, "during") || strings.Contains(s.SQL, "1/0") {
			want = "25P02" // the transaction had failed
		}
		if s.SQL != "" && s.SQLState != want && s.Outcome != store.OutcomeUnknown {
			t.Errorf("recorded %s, want %q", told(s), want)
		}
	}
	for i := range 5 {
		p.outcome(fmt.Sprintf("select 'during the rollback %d'", i))
	}
}

// A client in doubt that closes its sending side gets what PostgreSQL still has to say, and an
// end, though it left PostgreSQL in the middle of a COPY.
func TestDoubtDoesNotOutliveAHalfClose(t *testing.T) {
	t.Parallel()
	admin(t, "create table halved (n int)")
	admin(t, "grant all on halved to app_writer")
	t.Cleanup(func() { admin(t, "drop table halved") })
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "WRITER")
	overdue(t, conn)
	send(t, conn, message('d', "1\n")+query("select 'answered'")+query("copy halved from stdin"))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if said := readAll(t, conn); !strings.Contains(said, "answered") {
		t.Errorf("got %q", said)
	}
	p.untilAllEnded()
	if got := p.sessions()[0]; got.Doubt == "" || got.EndReason != "client_gone" {
		t.Errorf("the session ended as %+v", got)
	}
}

// A message that does not belong into a COPY fails it, and is lost, or since version 14 the
// connection with it.
func TestWhatACopySwallowsIsNotSaidToHaveRun(t *testing.T) {
	t.Parallel()
	admin(t, "create table swallowed (n int)")
	admin(t, "grant all on swallowed to app_writer")
	t.Cleanup(func() { admin(t, "drop table swallowed") })
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "WRITER")
	send(t, conn, query("copy swallowed from stdin"))
	receiveUntil(t, conn, 'G')
	const lost = "insert into swallowed values (666)"
	send(t, conn, query(lost))
	if said := untilReadyOrGone(t, conn); !strings.Contains(said, "C08P01\x00") {
		t.Errorf("got %q, want 08P01", said)
	}
	conn.Close()
	p.untilAllEnded()
	if got := p.outcome(lost); got != store.OutcomeUnknown {
		t.Errorf("it is recorded as %q", got)
	}
	if got := admin(t, "select count(*) from swallowed"); got != "0" {
		t.Errorf("%s rows: this tests nothing", got)
	}
}

// outcome is what the log says became of a text, which must stand there once.
func (p *proxy) outcome(text string) (outcome string) {
	p.t.Helper()
	found := 0
	for _, s := range p.statements() {
		if s.SQL == text {
			outcome = s.Outcome
			found++
		}
	}
	if found != 1 {
		p.t.Errorf("the text %q stands in %d rows", text, found)
	}
	return outcome
}

// backends are the process ids of the backends that sessions have had.
func (p *proxy) backends() map[uint32]bool {
	all := map[uint32]bool{}
	for _, s := range p.sessions() {
		all[s.BackendPID] = true
	}
	return all
}
