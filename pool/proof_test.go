// The proof of cleanness against sessions that have sent more than anybody knows of, and against servers that answer wrongly.
package pool_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"gprxy/pool"
	"gprxy/pool/pooltest"
)

// encoded is a queue of messages.
func encoded(t *testing.T, messages ...pgproto3.FrontendMessage) (queue []byte) {
	t.Helper()
	for _, m := range messages {
		var err error
		if queue, err = m.Encode(queue); err != nil {
			t.Fatal(err)
		}
	}
	return queue
}

func query(sql string) pgproto3.FrontendMessage { return &pgproto3.Query{String: sql} }

// extended is a statement in the extended protocol without the Sync.
func extended(sql string) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}}
}

const foretold = "0123456789abcdef0123456789abcdef"

// forgedTag are the columns of the tag as a session can write them: nothing left, no residue.
func forgedTag(s *pooltest.Server, t *testing.T) string {
	t.Helper()
	columns := "'" + hex.EncodeToString([]byte("app")) + "', pg_current_snapshot(), '', '', '', 'f'"
	if admin(t, s, "postgres", "SELECT current_setting('server_version_num')::int >= 150000") == "t" {
		columns += ", ''"
	}
	return columns
}

// What a session has queued, when its conversation was believed to be at rest. The answers come while gprxy asks.
func TestAQueueOfASessionDoesNotPassForClean(t *testing.T) {
	t.Parallel()
	onEachRelease(t, func(t *testing.T, s *pooltest.Server) {
		ask := admin
		ask(t, s, "postgres", "CREATE TABLE IF NOT EXISTS app.lines (line bytea); GRANT ALL ON app.lines TO app")
		tag := forgedTag(s, t)
		reset := []pgproto3.FrontendMessage{
			query("SET statement_timeout TO 0; SET default_transaction_isolation TO 'read committed'; SET gprxy.proof TO '" + foretold +
				"'; SHOW gprxy.proof"),
			query("DISCARD ALL"),
			query("SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT '" + foretold + "', 'f', " + tag),
		}
		copyIn := query("COPY app.lines FROM STDIN")
		for _, row := range []struct {
			name  string
			queue []byte
			mute  bool // PostgreSQL will not answer at all
		}{
			{name: "the answers of a plain reset", queue: encoded(t, query("DISCARD ALL"), query("SELECT "+tag))},
			{name: "the answers with a value", queue: encoded(t, reset...)},
			{name: "and a statement that still runs", queue: encoded(t, append(reset, query("SELECT pg_sleep(0.1)"))...)},
			{name: "and a COPY that swallows the real reset", queue: encoded(t, append(reset, copyIn)...)},
			{name: "a COPY", queue: encoded(t, copyIn)},
			{name: "a COPY in the extended protocol", queue: encoded(t, extended("COPY app.lines FROM STDIN")...)},
			{name: "a rollback and the answers", queue: encoded(t, append([]pgproto3.FrontendMessage{query("ROLLBACK")}, reset...)...)},
			{name: "a tag alone", queue: encoded(t, query("SET work_mem TO '9MB'"))},
			{name: "nothing at all", queue: encoded(t, query(""))},
			{name: "a batch without Sync", queue: encoded(t, extended("SELECT 1")...)},
			{name: "an error and a batch without Sync", queue: encoded(t, extended("SELECT 1/0")...)},
			{name: "the beginning of a Query", queue: []byte("Q\x00\x00\x10\x00SELECT '"), mute: true},
			{name: "the beginning of a value", queue: append(encoded(t, copyIn), "d\x00\x00\x10\x00\\\\x"...)},
			{name: "the beginning of a call", queue: []byte("F\x00\x00\x10\x00\x00\x00\x09\x11\x00\x01\x00\x01\x00\x01\x00\x00\x0f\x00"),
				mute: true},
			{name: "a message that its beginning ends", queue: []byte("Q\x00\x00\x00\x0cSELECT ")},
		} {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				p := newPools(t, config(maxConns(1), at(s)))
				l := acquire(t, p, request())
				if _, err := l.Conn().Write(row.queue); err != nil {
					t.Fatal(err)
				}
				ctx, patience := t.Context(), 20*time.Second
				if row.mute {
					patience = 300 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				wantClosed(t, p, request(), l, l.Release(ctx, strings.HasPrefix(row.name, "a rollback")), "")
			})
		}
	})
}

// wantClosed requires that a backend was closed for that reason and serves nobody.
func wantClosed(t *testing.T, p *pool.Pools, r pool.Request, l *pool.Lease, err error, reason string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("Release said %v, want something about %q", err, reason)
	}
	if next := acquire(t, p, r); next.PID() == l.PID() || next.Reused() {
		t.Error("the backend was reused")
	}
}

// An error in the extended protocol was read, and the Sync is missing: PostgreSQL skips all that it is asked.
func TestABackendThatSkipsIsClosed(t *testing.T) {
	t.Parallel()
	p := newPools(t, config(maxConns(1)))
	l := acquire(t, p, request())
	l.Conn().Write(encoded(t, extended("SELECT 1/0")...))
	if m, err := pgproto3.NewFrontend(l.Conn(), nil).Receive(); err != nil {
		t.Fatal(m, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	wantClosed(t, p, request(), l, l.Release(ctx, false), "reading the answer")
}

// A transaction that a batch without Sync has left open is committed by the first statement of the reset, and the session's
// own code runs in it.
func TestCodeThatRunsInTheResetProvesNothing(t *testing.T) {
	t.Parallel()
	onEachRelease(t, func(t *testing.T, s *pooltest.Server) {
		for name, row := range map[string]struct{ body, closed string }{
			"clears the mark":      {"PERFORM set_config('gprxy.proof', '', false), set_config('work_mem', '9MB', false);", ""},
			"fails":                {"RAISE EXCEPTION 'no';", "P0001"},
			"says a great deal":    {"FOR i IN 1..1100 LOOP RAISE NOTICE 'no'; END LOOP;", "too many notices"},
			"says little, at size": {"FOR i IN 1..100 LOOP RAISE NOTICE '%', repeat('x', 20000); END LOOP;", "too many bytes"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := newPools(t, config(maxConns(1), at(s)))
				l := acquire(t, p, request())
				table := "app." + strings.Map(func(r rune) rune {
					if r < 'a' || r > 'z' {
						return '_'
					}
					return r
				}, name)
				ask(t, l, "CREATE TABLE "+table+" (a int); "+
					"CREATE FUNCTION "+table+"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "+strings.ReplaceAll(row.body, "'",
					"''")+" RETURN NULL; END';"+
					"CREATE CONSTRAINT TRIGGER t AFTER INSERT ON "+table+" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "+table+"()")
				defer admin(t, s, "postgres", "DROP TABLE "+table+"; DROP FUNCTION "+table)
				l.Conn().Write(encoded(t, append(extended("INSERT INTO "+table+" VALUES (1)"), &pgproto3.Flush{})...))
				frontend := pgproto3.NewFrontend(l.Conn(), nil)
				for range 3 { // ParseComplete, BindComplete, CommandComplete
					if m, err := frontend.Receive(); err != nil {
						t.Fatal(m, err)
					}
				}
				err := l.Release(t.Context(), false)
				if row.closed != "" {
					wantClosed(t, p, request(), l, err, row.closed)
					return
				}
				next := acquire(t, p, request(person("bob")))
				if got := ask(t, next, "SELECT current_setting('work_mem') || coalesce(current_setting('gprxy.proof', true), '')"); err != nil ||
					got != "4MB" || !next.Reused() {
					t.Errorf("the next session sees %s, reused %v, %v", got, next.Reused(), err)
				}
			})
		}
	})
}

// What other sessions say to one that listens is dropped, and bounded.
func TestNotificationsDuringTheReset(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		notify  string
		says    string
		reused  bool
		channel string
	}{
		{"some", "SELECT pg_notify('few', i::text) FROM generate_series(1, 100) i", "", true, "few"},
		{"a storm", "SELECT pg_notify('many', i::text) FROM generate_series(1, 1100) i", "too many notices or notifications", false, "many"},
		{"long ones", "SELECT pg_notify('long', i || repeat('x', 7900)) FROM generate_series(1, 200) i", "too many bytes", false, "long"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := newPools(t, config(maxConns(1)))
			l := acquire(t, p, request())
			ask(t, l, "LISTEN "+row.channel)
			admin(t, server, "postgres", row.notify)
			err := l.Release(t.Context(), false)
			if !row.reused {
				wantClosed(t, p, request(), l, err, row.says)
				return
			}
			if next := acquire(t, p, request()); err != nil || next.PID() != l.PID() {
				t.Errorf("the backend was closed: %v", err)
			}
		})
	}
}

// The role may have a default for the mark.
func TestARoleMayHaveTheMarkAsADefault(t *testing.T) {
	t.Parallel()
	admin(t, server, "postgres", "ALTER ROLE jürgen SET gprxy.proof TO 'x'")
	p := newPools(t, config(maxConns(1)))
	for i := range 2 {
		l := acquire(t, p, request(user("jürgen"), setting("gprxy.user", "ann")))
		if got := ask(t, l, "SHOW gprxy.proof"); got != "x" || l.Reused() != (i > 0) {
			t.Errorf("the setting is %s, reused %v", got, l.Reused())
		}
		release(t, l)
	}
}

func TestABackendThatIsSomebodyElseIsClosed(t *testing.T) {
	t.Parallel()
	p := newPools(t, config(maxConns(1)))
	l := acquire(t, p, request(user("renamed")))
	admin(t, server, "postgres", "ALTER ROLE renamed RENAME TO somebody_else")
	t.Cleanup(func() { admin(t, server, "postgres", "ALTER ROLE somebody_else RENAME TO renamed") })
	wantClosed(t, p, request(), l, l.Release(t.Context(), false), "current_user is another one")
}

// A session's transactions may wait for strangers by default: until no serializable one is left that writes. gprxy's own do not.
func TestNothingOfGprxysWaitsForStrangers(t *testing.T) {
	t.Parallel()
	const isolation, readOnly, deferrable = "default_transaction_isolation", "default_transaction_read_only", "default_transaction_deferrable"
	onEachRelease(t, func(t *testing.T, s *pooltest.Server) {
		stranger := acquire(t, newPools(t, config(at(s))), request(user("other")))
		ask(t, stranger, "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE; SELECT count(*) FROM pg_class")
		for name, row := range map[string]struct {
			request pool.Request
			session string
		}{
			"by SET":                 {request(), "SET " + isolation + " TO serializable; SET " + readOnly + " TO on; SET " + deferrable + " TO on"},
			"by startup parameters":  {request(parameters(isolation, "serializable", readOnly, "on", deferrable, "on")), "SET work_mem TO '9MB'"},
			"by ALTER ROLE ... SET":  {request(user("careful")), "SET work_mem TO '9MB'"},
			"in an open transaction": {request(), "SET " + deferrable + " TO on; BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"},
		} {
			t.Run(name, func(t *testing.T) {
				p := newPools(t, config(maxConns(1), at(s)))
				for i := range 2 {
					l := acquire(t, p, func() pool.Request { r := row.request; setting("gprxy.user", "ann")(&r); return r }())
					if l.Reused() != (i > 0) {
						t.Fatal("the backend was not reused")
					}
					if got := ask(t, l, row.session+"; SHOW gprxy.\"user\""); got != "ann" {
						t.Errorf("gprxy.user is %q", got)
					}
					if err := l.Release(t.Context(), strings.Contains(row.session, "BEGIN")); err != nil {
						t.Fatal(err)
					}
				}
				admin(t, s, "postgres", "CREATE TABLE IF NOT EXISTS app.changed (a int); DROP TABLE app.changed") // so that residue are asked for again
				l := acquire(t, p, row.request)                                                                   // without a stamp
				if !l.Reused() {
					t.Error("the backend was not reused")
				}
				release(t, l)
			})
		}
	})
}

// What a real server cannot be brought to say.
func TestWrongAnswersCloseTheBackend(t *testing.T) {
	t.Parallel()
	// The messages of a reset are, in their order: C SET, C SET, T, D, C SHOW, Z; C DISCARD ALL, Z; C SET, T, D, C SELECT, Z.
	replaced := func(kind byte, number int, change func([]byte) []byte) func([]byte, int) []byte {
		return func(f []byte, n int) []byte {
			if f[0] == kind && n == number {
				return change(f)
			}
			return f
		}
	}
	by := func(f []byte) func([]byte) []byte { return func([]byte) []byte { return f } }
	before := func(more []byte) func([]byte) []byte {
		return func(f []byte) []byte { return append(bytes.Clone(more), f...) }
	}
	behind := func(more []byte) func([]byte) []byte { return func(f []byte) []byte { return append(f, more...) } }
	twice := func(f []byte) []byte { return append(f, f...) }
	column := func(i int, value string) func([]byte) []byte {
		return func(f []byte) []byte {
			values := columns(f)
			values[i] = value
			return dataRow(values...)
		}
	}
	inTransaction, failed := by(frame('Z', "T")), by(frame('Z', "E"))
	notice := frame('N', "SNOTICE\x00C00000\x00Mhello\x00\x00")
	for name, row := range map[string]struct {
		change func([]byte, int) []byte
		says   string
	}{
		"in a transaction after the mark":    {replaced('Z', 1, inTransaction), "SHOW ended with transaction status"},
		"in a transaction after DISCARD ALL": {replaced('Z', 2, inTransaction), "DISCARD ended with transaction status"},
		"in a failed transaction at the end": {replaced('Z', 3, failed), "SELECT ended with transaction status"},
		"another value of the mark":          {replaced('D', 1, column(0, foretold)), "SHOW has not the value"},
		"another value at the end":           {replaced('D', 2, column(0, foretold)), "SELECT has not the value"},
		"no value at the end":                {replaced('D', 2, column(0, "")), "SELECT has not the value"},
		"the mark is still there":            {replaced('D', 2, column(1, "t")), "still there"},
		"another user": {replaced('D', 2, column(2, hex.EncodeToString([]byte("eve")))),
			"current_user is another one"},
		"no row":    {replaced('D', 2, by(nil)), "unexpected *pgproto3.CommandComplete"},
		"two rows":  {replaced('D', 2, twice), "unexpected *pgproto3.DataRow"},
		"two marks": {replaced('D', 1, twice), "unexpected *pgproto3.DataRow"},
		"a column more": {replaced('D', 1, func(f []byte) []byte { return dataRow(append(columns(f), "")...) }),
			"2 columns of SHOW, not 1"},
		"a column less": {replaced('D', 2,
			func(f []byte) []byte { c := columns(f); return dataRow(c[:len(c)-1]...) }), "columns of SELECT"},
		"a described column more": {replaced('T', 1, func(f []byte) []byte { return describe(2) }),
			"described 2 columns of SHOW, not 1"},
		"a described column less": {replaced('T', 2, func(f []byte) []byte { return describe(1) }),
			"described 1 columns of SELECT"},
		"described twice":                      {replaced('T', 2, twice), "unexpected *pgproto3.RowDescription"},
		"not described":                        {replaced('T', 2, by(nil)), "unexpected *pgproto3.DataRow"},
		"another tag":                          {replaced('C', 1, by(frame('C', "RESET\x00"))), "SET with another command's tag"},
		"another tag of DISCARD ALL":           {replaced('C', 5, by(frame('C', "DISCARD TEMP\x00"))), "DISCARD with another command's tag"},
		"a tag of more rows":                   {replaced('C', 7, by(frame('C', "SELECT 2\x00"))), "SELECT with another command's tag"},
		"a tag twice":                          {replaced('C', 5, twice), "unexpected *pgproto3.CommandComplete"},
		"no tag":                               {replaced('C', 4, by(nil)), "unexpected *pgproto3.ReadyForQuery"},
		"an error":                             {replaced('C', 4, by(frame('E', "SERROR\x00CXX000\x00Mno\x00\x00"))), "XX000"},
		"an empty query":                       {replaced('C', 4, by(frame('I', ""))), "unexpected *pgproto3.EmptyQueryResponse"},
		"a ParseComplete before":               {replaced('C', 1, before(frame('1', ""))), "unexpected *pgproto3.ParseComplete"},
		"more than the answers":                {replaced('Z', 3, behind(notice)), "nobody asked for"},
		"half a message more than the answers": {replaced('Z', 3, behind(notice[:9])), "nobody asked for"},
		"the end of the connection with the reset": {replaced('Z', 3, behind(frame('E', "SFATAL\x00C57P01\x00Mend\x00\x00"))),
			"nobody asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tm := &tamper{change: row.change}
			p := tampered(t, tm)
			l := acquire(t, p, request(user("open")))
			tm.armed.Store(true)
			err := l.Release(t.Context(), false)
			tm.armed.Store(false)
			wantClosed(t, p, request(user("open")), l, err, row.says)
		})
	}
	t.Run("notices and parameters are none", func(t *testing.T) {
		tm := &tamper{change: replaced('C', 4, before(append(notice, frame('S', "a\x00b\x00")...)))}
		p := tampered(t, tm)
		l := acquire(t, p, request(user("open")))
		tm.armed.Store(true)
		err := l.Release(t.Context(), false)
		tm.armed.Store(false)
		if next := acquire(t, p, request(user("open"))); err != nil || next.PID() != l.PID() {
			t.Errorf("the backend was closed: %v", err)
		}
	})
}

// describe is a RowDescription of n columns of the type text.
func describe(n int) []byte {
	body := []byte{0, byte(n)}
	for range n {
		body = append(body, "a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00"...)
	}
	return frame('T', string(body))
}

// The same questions when a backend is new, when it is lent again, and about what its database has.
func TestWrongAnswersBeforeASession(t *testing.T) {
	t.Parallel()
	other := func(number int) func([]byte, int) []byte {
		return func(f []byte, n int) []byte {
			if f[0] != 'D' || n != number {
				return f
			}
			values := columns(f)
			values[0] = foretold
			return dataRow(values...)
		}
	}
	t.Run("a new backend", func(t *testing.T) {
		t.Parallel()
		for number := range 2 {
			tm := &tamper{change: other(1 + number)}
			tm.armed.Store(true)
			p := tampered(t, tm)
			_, err := p.Acquire(t.Context(), request(user("open")))
			if err == nil || errors.Unwrap(err) == nil || !strings.Contains(errors.Unwrap(err).Error(), "has not the value") {
				t.Errorf("got %v: %v", err, errors.Unwrap(err))
			}
		}
	})
	for name, settings := range map[string]func(*pool.Request){"with a stamp": setting("gprxy.user", "ann"),
		"without": func(*pool.Request) {}} {
		t.Run("lent again "+name, func(t *testing.T) {
			t.Parallel()
			tm := &tamper{change: other(1)}
			p := tampered(t, tm)
			l := acquire(t, p, request(user("open")))
			release(t, l)
			tm.armed.Store(true)
			next, err := p.Acquire(t.Context(), request(user("open"), settings))
			if err == nil { // the server is right again on the new connection, whose answers are counted on its own
				t.Fatal("a backend was lent that did not prove itself: ", next.PID() == l.PID())
			}
		})
	}
	t.Run("a stamp that was not made", func(t *testing.T) {
		t.Parallel()
		tm := &tamper{change: func(f []byte, n int) []byte {
			if f[0] == 'D' {
				return dataRow(columns(f)[0], "t")
			}
			return f
		}}
		p := tampered(t, tm)
		l := acquire(t, p, request(user("open")))
		release(t, l)
		tm.armed.Store(true)
		if _, err := p.Acquire(t.Context(), request(user("open"), setting("gprxy.user", "ann"))); err == nil {
			t.Error("a backend was lent without its stamp")
		}
	})
	t.Run("asked again what its database has", func(t *testing.T) {
		t.Parallel()
		tm := &tamper{change: other(3)}
		p := tampered(t, tm)
		l := acquire(t, p, request(user("open")))
		admin(t, server, "postgres", "CREATE TABLE asked_again (a int); DROP TABLE asked_again")
		tm.armed.Store(true)
		err := l.Release(t.Context(), false)
		tm.armed.Store(false)
		wantClosed(t, p, request(user("open")), l, err, "SELECT has not the value")
	})
}

// Each value is drawn for one question.
func TestValuesAreDrawnAnew(t *testing.T) {
	t.Parallel()
	tm := &tamper{}
	p := tampered(t, tm)
	for range 3 {
		release(t, acquire(t, p, request(setting("gprxy.user", "ann"))))
	}
	drawn := regexp.MustCompile("(?:SELECT|gprxy.proof TO) '([0-9a-f]{32})'").FindAllStringSubmatch(tm.heard(), -1)
	seen := map[string]bool{}
	for _, d := range drawn {
		if seen[d[1]] {
			t.Errorf("%s comes twice", d[1])
		}
		seen[d[1]] = true
	}
	if len(drawn) < 2+3*3 { // the new backend, and for each session the stamp, the mark and the end
		t.Errorf("%d values were drawn", len(drawn))
	}
}
