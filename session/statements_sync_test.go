package session_test

import (
	"fmt"
	"strings"
	"testing"

	"gprxy/session/relay"
	"gprxy/store"
)

// However many statements are prepared behind it, and recorded before the Sync, a commit that fails is that of the last that ran.
func TestAnErrorAtTheSyncIsThatOfWhatRan(t *testing.T) {
	t.Parallel()
	admin(t, "create table failing_late (n int unique deferrable initially deferred)")
	admin(t, "grant all on failing_late to app_writer")
	t.Cleanup(func() { admin(t, "drop table failing_late") })
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	const insert = "insert into failing_late values (1), (1)"
	for _, prepared := range []int{1, 100, 101, 250} {
		conn := rawSession(t, p, "WRITER")
		sent := strings.TrimSuffix(atOnce(insert), syncing)
		for i := range prepared {
			sent += parseAs(fmt.Sprint("p", i), fmt.Sprint("select ", i))
		}
		before := len(p.statements())
		send(t, conn, sent+syncing)
		receiveUntil(t, conn, 'Z')
		p.untilEnded(conn)
		rows := p.statements()[before:]
		if len(rows) != prepared+1 {
			t.Errorf("%d prepared: %d rows", prepared, len(rows))
		}
		for _, s := range rows {
			failed := s.SQL == insert
			if (s.SQLState == "23505") != failed || (s.Outcome == store.OutcomeError) != failed || s.TxStatus != "I" {
				t.Errorf("%d prepared: %s", prepared, told(s))
			}
		}
	}
}

// An error of which it cannot be told whose it is has a row, and what it may have undone is not said to be done.
func TestAnErrorInDoubtIsRecorded(t *testing.T) {
	t.Parallel()
	admin(t, `create table cancelled_late (n int);
		create function cancel_late() returns trigger language plpgsql as $$ begin raise exception using errcode = '57014', message = 'mine'; end $$;
		create constraint trigger late after insert on cancelled_late deferrable initially deferred for each row execute function cancel_late();
		grant all on cancelled_late to app_writer`)
	t.Cleanup(func() { admin(t, "drop table cancelled_late; drop function cancel_late()") })
	p := startProxy(t, quietly, recordingAs(relay.RecordText))
	conn := rawSession(t, p, "WRITER")
	const insert = "insert into cancelled_late values (1)"
	send(t, conn, strings.TrimSuffix(atOnce(insert), syncing)+message('H', "")+message('d', "x")+syncing)
	receiveUntil(t, conn, 'Z')
	p.untilEnded(conn)
	rows := p.statements()
	if len(rows) != 2 {
		t.Fatalf("%d rows: %+v", len(rows), rows)
	}
	if s := rows[0]; s.SQL != insert || s.Outcome != store.OutcomeUnknown || s.Doubt == "" {
		t.Errorf("what was undone: %s", told(s))
	}
	if s := rows[1]; s.SQL != "" || s.SQLState != "57014" || s.Doubt == "" {
		t.Errorf("the error: %s", told(s))
	}
}

// Code inside PostgreSQL can close a portal and open another of its name. Whatever has run it, the Execute that follows has no
// text rather than a wrong one, before PostgreSQL has it as well.
func TestAPortalThatCodeMayHaveReplacedHasNoText(t *testing.T) {
	t.Parallel()
	admin(t, `create schema reopening; create table reopening.victim (n int);
		create function reopening.opens(c refcursor) returns int language plpgsql as $$ begin open c for delete from reopening.victim returning n; return 1; end $$;
		create function reopening.replaces(c refcursor) returns int language plpgsql as $$ begin close c; return reopening.opens(c); end $$;
		create procedure reopening.replacing(c refcursor) language plpgsql as $$ begin perform reopening.replaces(c); end $$;
		create function reopening.planned() returns int language plpgsql immutable as $$ begin return reopening.replaces('p'); end $$;
		create domain reopening.checked as int check (reopening.replaces('p') = value);
		grant usage on schema reopening to app_writer; grant all on all tables in schema reopening to app_writer;
		grant execute on all functions in schema reopening to app_writer`)
	t.Cleanup(func() { admin(t, "drop schema reopening cascade") })
	strictly := func(o *options) { o.session.Statements.Strict = true }
	p := startProxy(t, quietly, recordingAs(relay.RecordText), strictly)
	checked := admin(t, "select 'reopening.checked'::regtype::oid::int")
	var domain uint32
	fmt.Sscan(checked, &domain)
	const harmless = "select 'harmless'"
	for name, sent := range map[string]string{
		"a function":                  query("select reopening.replaces('p')"),
		"one that is sent in a batch": parseAs("", "select reopening.replaces($1)") + bindTo("", "", "p") + executePortal("", 0),
		"CALL":                        query("call reopening.replacing('p')"),
		"CLOSE and a function":        query("close p; select reopening.opens('p')"),
		"planning":                    parseAs("", "select reopening.planned()") + bindTo("", ""),
		"the check of a domain":       parseAs("", "select $1", domain) + bindTo("", "", "1"),
	} {
		admin(t, "truncate reopening.victim; insert into reopening.victim values (1), (2)")
		conn := rawSession(t, p, "WRITER")
		before := len(p.records("statement.started"))
		at := len(p.statements())
		send(t, conn, query("begin"))
		receiveUntil(t, conn, 'Z')
		// Sent at once: what PostgreSQL will have done by the Execute is not known yet.
		send(t, conn, parseAs("", harmless)+bindTo("p", "")+syncing+sent+executePortal("p", 0)+syncing+query("commit"))
		ready := 3
		if sent[0] == 'Q' {
			ready++
		}
		for range ready {
			receiveUntil(t, conn, 'Z')
		}
		if left := admin(t, "select count(*) from reopening.victim"); left != "0" {
			t.Errorf("%s: %s rows are left: this tests nothing", name, left)
		}
		p.untilEnded(conn)
		for _, s := range p.statements()[at:] {
			if s.Portal == "p" && s.Kind == store.KindExtended && s.SQL != "" {
				t.Errorf("%s: %s", name, told(s))
			}
		}
		for _, r := range p.records("statement.started")[before:] {
			if strings.Contains(string(r.Detail), "harmless") && !strings.Contains(string(r.Detail), `"kind":"bind"`) {
				t.Errorf("%s: announced %s", name, r.Detail)
			}
		}
	}
}
