// Random conversations: every type of message, in and out of place, and above all what PostgreSQL answers out of turn.
package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// generator makes one conversation. All its choices come from random.
type generator struct {
	*pen
	random *rand.Rand
	mirror bool // nothing that depends on time: the bytes are compared
}

// generate makes conversation number n of a campaign.
func generate(seed, n uint64) conversation {
	random := rand.New(rand.NewPCG(seed, n))
	c := conversation{name: fmt.Sprintf("g%d", n), mirror: random.IntN(4) == 0}
	for i := range 1 + random.IntN(2) {
		g := &generator{pen: newPen(c.name, i), random: random, mirror: c.mirror}
		c.actors = append(c.actors, g.actor())
		if c.mirror {
			break
		}
	}
	return c
}

func (g *generator) chance(n int) bool              { return g.random.IntN(n) == 0 }
func (g *generator) pick(all ...string) string      { return all[g.random.IntN(len(all))] }
func (g *generator) from(least, most int) int       { return least + g.random.IntN(most-least+1) }
func (g *generator) one(of ...func() string) string { return of[g.random.IntN(len(of))]() }

func (g *generator) actor() actor {
	a := actor{queries: g.queries}
	for range g.from(1, 4) {
		if !g.mirror && g.chance(3) {
			a.steps = append(a.steps, g.attack()...)
			continue
		}
		a.steps = append(a.steps, g.chunks(g.burst(g.from(1, 12)))...)
		if !g.mirror {
			a.steps = append(a.steps, g.interlude()...)
		}
	}
	a.leave = g.pick(leaves...)
	if !g.mirror && g.chance(3) { // an end at any byte
		last := g.burst(g.from(1, 4))
		a.steps = append(a.steps, step{send: last[:g.from(1, len(last))]})
		a.leave = g.pick(leaveHalf, leaveClose, leaveReset)
	}
	if g.mirror {
		// Whatever state this is in, it ends in an answer.
		a.steps = append(a.steps, say(copyFail("enough"), syncing, g.query("select @ 'the end'")))
		a.leave = leaveTerminate
	}
	return a
}

// burst is some messages.
func (g *generator) burst(n int) string {
	var b strings.Builder
	for range n {
		if !g.mirror && g.chance(60) {
			b.WriteString(terminate) // what comes behind it is nobody's
		}
		b.WriteString(g.message())
	}
	if g.chance(2) {
		b.WriteString(syncing)
	}
	return b.String()
}

// chunks cuts a stream anywhere: PostgreSQL and gprxy may see a message in pieces.
func (g *generator) chunks(stream string) (all []step) {
	for len(stream) > 0 {
		n := len(stream)
		if g.chance(3) {
			n = g.from(1, n)
		}
		all = append(all, step{send: stream[:n]})
		stream = stream[n:]
	}
	return all
}

// interlude is what happens between two bursts.
func (g *generator) interlude() []step {
	switch g.random.IntN(8) {
	case 0:
		return steps(cancelling())
	case 1:
		return steps(say(g.query("select @ pg_sleep(0.03)")), cancelling())
	case 2:
		return steps(wait(milliseconds(g.from(1, 45))))
	case 3:
		return steps(awaitMaybe('E'))
	case 4, 5:
		return steps(awaitMaybe('Z'))
	}
	return nil
}

// message is one message, or a few that belong together.
func (g *generator) message() string {
	name, portal := g.pick("", "", "", "s", "t"), g.pick("", "", "", "p")
	switch g.random.IntN(27) {
	case 0, 1, 2, 3:
		return g.query(g.sql())
	case 4:
		return g.query(g.several())
	case 5, 6, 7, 8:
		return g.run(g.sql())
	case 9:
		return g.run(g.sql()) + syncing
	case 10, 11:
		return g.parse(name, g.sql())
	case 12, 13:
		return bind(portal, name)
	case 14, 15:
		return execute(portal, g.from(0, 2))
	case 16:
		return describe("SP"[g.random.IntN(2)], name)
	case 17:
		return closing("SP"[g.random.IntN(2)], name)
	case 18, 19:
		return flush
	case 20, 21:
		return strings.Repeat(syncing, g.from(1, 3))
	case 22:
		return g.call()
	case 23:
		return g.one(
			func() string { return copyData("1\n2\n") },
			func() string { return copyDone },
			func() string { return copyFail("no") })
	case 24:
		return g.copying()
	case 25:
		return g.parse("n", "select @ $1::int + 1") + bind("p", "n", g.pick("1", "x")) + describe('P', "p") + execute("p", 0)
	}
	if g.chance(3) {
		return g.malformed()
	}
	return g.query(g.sql()) + syncing
}

func (g *generator) call() string {
	return g.one(
		func() string { return functionCall(177, "\x00\x00\x00\x01", "\x00\x00\x00\x02") }, // int4pl
		func() string { return functionCall(177) },
		func() string { return functionCall(4000000) })
}

// copying is a COPY FROM STDIN with its data, complete or not, and with what does not belong there.
func (g *generator) copying() string {
	start := g.one(
		func() string { return g.query("copy @ sink from stdin") },
		func() string { return g.run("copy @ sink from stdin") },
		func() string { return g.query("select @ 1; copy @ sink from stdin; select @ 2") })
	rest := ""
	for range g.from(0, 3) {
		rest += g.one(
			func() string { return copyData("7\n") },
			func() string { return copyData("no number\n") },
			func() string { return syncing },
			func() string { return flush },
			func() string { return g.query("select @ 'within a copy'") })
	}
	return start + rest + g.pick(copyDone, copyDone, copyFail("no"), "") + g.pick("", syncing)
}

// malformed is a message that PostgreSQL refuses, and mostly lives on after.
func (g *generator) malformed() string {
	return g.pick(frame('Q', "select 'no end'"), frame('P', "s"), frame('B', ""), frame('E', ""), frame('D', "Xs\x00"), frame('C', "?\x00"),
		frame('H', "x"), frame('S', "x"), frame('F', "\x00"), frame('f', "no end"), frame('y', "of another time"), frame('c', "x"),
		frame('B', "p\x00s\x00\x00\x05"), frame('P', "\x00select 1\x00\x00\x09"))
}

// several is a text of more than one statement.
func (g *generator) several() string {
	parts := make([]string, g.from(2, 4))
	for i := range parts {
		parts[i] = g.sql()
	}
	return strings.Join(parts, "; ")
}

// sql is one statement.
func (g *generator) sql() string {
	if !g.mirror && g.chance(6) {
		return g.pick(timely...)
	}
	return g.pick(harmful...)
}

// harmful is what leaves something behind, fails, or changes what texts mean. It gives the same answers wherever it is run.
var harmful = []string{
	"select @ 1", "select @ 1", "select @ n from items order by n limit 3",
	"insert into sink @ values (1)", "insert into sink @ values (2) returning n",
	"begin @", "begin @", "commit @", "rollback @", "savepoint @ a", "rollback to @ a", "release @ a",
	"select @ 1/0", "selec @", "/*none*/ @", "select @ * from nowhere",
	"do @ $$begin perform 1/0; exception when others then null; end$$", "do @ $$begin raise exception 'no'; end$$",
	"create temp table @ items (n int)", "create temp table @ canary (n int)", "drop table @ items",
	"prepare @ s as select 1", "prepare t as select @ 2", "execute @ s", "execute @ t", "deallocate @ s", "deallocate @ all",
	"declare c cursor with hold for select @ generate_series(1, 9)", "declare p cursor for select @ 5",
	"fetch @ 2 from c", "close @ c", "close @ all",
	"select @ pg_advisory_lock(7)", "select @ pg_advisory_xact_lock(8)", "listen @ canary", "unlisten @ *",
	"copy @ (select 1) to stdout", "copy @ items to stdout", "discard @ all", "discard @ temp", "reset @ all",
	"set @ search_path = pg_temp, public", `set @ gprxy."user" = 'mallory'`, "select @ set_config('gprxy.user', 'mallory', false)",
	"set @ standard_conforming_strings = off", "set @ standard_conforming_strings = on", "set @ client_encoding = 'latin1'",
	"set @ datestyle = 'german'",
	"set @ default_transaction_read_only = on", "set @ default_transaction_isolation = 'serializable'",
	"set @ default_transaction_deferrable = on",
	"set local @ work_mem = '1MB'", "set @ bytea_output = 'escape'", "set @ row_security = off", "set @ work_mem = '2MB'",
	"select @ 'a\\'' as odd", "set transaction @ isolation level serializable", "set constraints @ all deferred",
	"select @ setseed(0.5)", "set @ lock_timeout = '1s'", "set @ client_min_messages = 'error'",
}

// timely depends on the time.
var timely = []string{
	"select @ pg_sleep(0.02)", "set @ statement_timeout = '25ms'", "set @ statement_timeout = 0",
	"set @ idle_in_transaction_session_timeout = '30ms'",
	"select @ pg_sleep(0.06)", "notify @ canary", "select @ pg_backend_pid()", "select @ txid_current()",
	"select @ pg_cancel_backend(pg_backend_pid())",
	"select @ pg_terminate_backend(pg_backend_pid())", "select @ count(pg_advisory_xact_lock(g)) from generate_series(100, 2000) g",
}

const (
	timeout = 30 * time.Millisecond // statement_timeout in attacks
	late    = 8 * time.Millisecond  // after which it has run out for sure, or nearly
)

// attack is a batch that PostgreSQL's timeout meets while it waits for the client (the next message gets the ERROR), with a
// rollback that takes long or not, and with what comes out of turn sent before the error or after it.
func (g *generator) attack() []step {
	var all []step
	slow := g.chance(2)
	if g.chance(2) {
		all = append(all, say(g.query("begin @")))
	}
	if slow {
		all = append(all, say(g.query(g.pick(manyLocks, manyLocks, someTables))))
	}
	all = append(all, say(g.query("set @ statement_timeout = '30ms'; select @ 'armed'")), awaitMaybe('S'), awaitMaybe('Z'))
	open := g.one(
		func() string { return g.parse("", "select @ 1") },
		func() string { return g.parse("s", "select @ 1") },
		func() string { return g.run("select @ n from items") },
		func() string { return g.parse("", "select @ generate_series(1, 9)") + bind("", "") + execute("", 2) },
		func() string { return g.run("insert into sink @ values (3)") })
	all = append(all, say(open+g.pick(flush, flush, "")), wait(timeout+late+milliseconds(g.from(0, 4))))
	out := g.outOfTurn()
	if g.chance(2) {
		out += g.decoy() // on which the error may be booked
	}
	queue := g.queue()
	if g.chance(2) {
		queue += g.pick(syncing, syncing+g.decoy()+syncing, syncing+syncing)
	}
	if g.chance(3) {
		return append(all, say(out+queue))
	}
	return append(all, say(out), awaitMaybe('E'), say(queue))
}

// decoy is a message, or very many, whose answer may be taken for another's.
func (g *generator) decoy() string {
	one := g.pick(closing('S', "none"), closing('P', "none"), bind("", ""), describe('S', ""), execute("", 0))
	return strings.Repeat(one, g.pickInt(1, 1, 2, 1100))
}

const (
	manyLocks  = "select @ count(pg_advisory_xact_lock(g)) from generate_series(100, 9000) g"
	someTables = "do @ $$begin for i in 1..200 loop execute 'create temp table many' || i || ' (n int)'; end loop; end$$"
)

// outOfTurn is the message that gets the error.
func (g *generator) outOfTurn() string {
	return g.one(
		func() string { return copyData("x") },
		func() string { return copyDone },
		func() string { return copyFail("no") },
		func() string { return flush },
		func() string { return syncing },
		func() string { return execute("", 0) },
		func() string { return closing('S', "s") },
		func() string { return g.message() })
}

// queue is what PostgreSQL works through after the error.
func (g *generator) queue() string {
	switch g.random.IntN(6) {
	case 3:
		return g.deferred()
	case 0:
		return g.query("insert into sink @ values (4)") + g.pick("", syncing)
	case 1:
		return strings.Repeat(closing('S', ""), g.pickInt(10, 1100, 2200)) + g.run("insert into sink @ values (5)") + syncing
	case 2:
		return g.forgery()
	}
	return g.burst(g.from(1, 8))
}

func (g *generator) pickInt(all ...int) int { return all[g.random.IntN(len(all))] }

// forgery is a queue whose answers look like those to gprxy's own questions, with something that goes on for long.
func (g *generator) forgery() string {
	all := ""
	if g.chance(2) {
		all += g.query("rollback @")
	}
	all += g.one(
		func() string { return g.query("discard @ all") + g.query("/*own*/ @ "+tagQuestion) },
		func() string {
			return g.query("set @ statement_timeout to 0; set @ default_transaction_isolation to 'read committed'; set @ gprxy.proof to "+
				"'"+guess+"'; show @ gprxy.proof") +
				g.query("discard @ all") + g.query("set transaction @ isolation level read committed; select @ '"+guess+"'::text, false, "+tagColumns)
		})
	if g.chance(2) {
		all += g.query("select @ pg_catalog.pg_current_snapshot(), '', ''")
	}
	if g.chance(2) {
		all += syncing
	}
	all += g.query("create temp table @ canary (n int)") + g.query(`set @ gprxy."user" = 'mallory'`)
	switch g.random.IntN(3) {
	case 0:
		all += g.query("select @ pg_sleep(0.2)") + g.query("select @ 'forged', 'forged'")
	case 1:
		all += g.query("copy @ sink from stdin")
	}
	return all
}

// What gprxy asks a backend at its release, as far as it can be foretold. Its random value is guessed, and wrongly.
const (
	guess      = "0123456789abcdef0123456789abcdef"
	tagColumns = "pg_catalog.encode(pg_catalog.convert_to(current_user::text, 'UTF8'), 'hex'), pg_catalog.pg_current_snapshot(), " +
		"'', '', pg_catalog.setseed(0.5), false, true"
	tagQuestion = "SELECT " + tagColumns
)

// deferred is a trigger that comes with the commit, or not at all where the transaction is rolled back.
func (g *generator) deferred() string {
	return g.query("begin @; create temp table @ late (n int); create function @ pg_temp.late() returns trigger "+
		"language plpgsql as $$begin perform pg_sleep(0.02); raise notice 'late'; return null; end$$; "+
		"create constraint trigger @ late after insert on late deferrable initially deferred "+
		"for each row execute function pg_temp.late(); insert into late @ values (1)") +
		g.pick("", g.query("commit @"), g.run("commit @"), syncing)
}
