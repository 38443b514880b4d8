package session_test

import (
	"fmt"
	"net"
	"testing"
)

// A client that sends no more gets the answers to what it has sent whole: to a COPY that it ended, and to what it flushed.
func TestWhatWasEndedOrFlushedIsAnsweredAfterAHalfClose(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	admin(t, `create table slow_copy (id int); grant all on slow_copy to app_writer;
		create function slow_copy() returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return new; end $$;
		create trigger slow before insert on slow_copy for each row execute function slow_copy()`)
	t.Cleanup(func() { admin(t, "drop table slow_copy; drop function slow_copy") })
	leave := map[string]func(net.Conn){
		"half close": func(conn net.Conn) { conn.(*net.TCPConn).CloseWrite() },
		"terminate":  func(conn net.Conn) { send(t, conn, message('X', "")) },
	}
	for how, leaves := range leave {
		conn := rawSession(t, p, "WRITER")
		send(t, conn, query("copy slow_copy from stdin"))
		receiveUntil(t, conn, 'G')
		send(t, conn, message('d', "1\n")+message('c', "")+query("select 2"))
		leaves(conn)
		receiveUntil(t, conn, 'Z')
		if got := fmt.Sprint(rows(receiveUntil(t, conn, 'Z'))); got != "[2]" {
			t.Errorf("%s behind a COPY: %s", how, got)
		}
		conn = rawSession(t, p, "WRITER")
		send(t, conn, unsynced("select pg_sleep(0.5)::text")+flush)
		leaves(conn)
		receiveUntil(t, conn, 'C')
	}
	p.untilAllEnded()
	if got := admin(t, "select count(*) from slow_copy"); got != "2" {
		t.Errorf("%s rows were copied", got)
	}
}
