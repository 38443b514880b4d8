// Conversations with a name: attacks that succeeded once, and what the generator found. Each is played in every test.
package main

import (
	"fmt"
	"strings"
)

// named is a script. Its first actor does what acts says and leaves as leave says ("" is terminate).
type named struct {
	name  string
	acts  func(*pen) []step
	leave string
}

// armed opens a batch in which statement_timeout runs out while PostgreSQL waits; slow makes its rollback last.
func armed(p *pen, slow bool, open string) []step {
	all := steps(say(p.query("begin @")))
	if slow {
		all = append(all, say(p.query(manyLocks)), await('Z'))
	}
	return append(all, say(p.query("set @ statement_timeout = '30ms'")), await('Z'), await('Z'),
		say(open+flush), await('1'), wait(timeout+late))
}

// armedAlone is armed without a transaction block.
func armedAlone(p *pen) []step {
	return steps(say(p.query("set @ statement_timeout = '30ms'")), await('Z'), say(p.parse("", "select @ 1")+flush), await('1'),
		wait(timeout+late))
}

// manyCloses are more than an error's record holds, behind the message that gets the error.
var manyCloses = copyData("x") + strings.Repeat(closing('S', "none"), 1100)

// after is the timeout's error met by a message, and what follows it at once.
func after(out string, slow bool, follow func(p *pen) string) func(*pen) []step {
	return func(p *pen) []step {
		return append(armed(p, slow, p.parse("", "select @ 'open'")), say(out), awaitMaybe('E'), say(follow(p)), wait(late))
	}
}

func insertThree(p *pen) string {
	return p.query("rollback @") + p.query("insert into sink @ values (11)") + p.query("insert into sink @ values (12)") +
		syncing + p.query("select @ 1/0")
}

// forgedReset has the answers of gprxy's reset, and then goes on for long.
func forgedReset(p *pen, end string) string {
	return p.query("rollback @") + p.query("discard @ all") + p.query("/*own*/ @ "+tagQuestion) +
		p.query("select @ pg_catalog.pg_current_snapshot(), '', ''") +
		p.query("create temp table @ canary (n int)") + p.query(`set @ gprxy."user" = 'mallory'`) + p.query("select @ pg_sleep(0.2)") + end
}

// forging makes the count run ahead: the error is booked on the first Close, all up to the Sync seems skipped, and the first
// Close's answer seems the second's. Then what PostgreSQL runs of the queue looks like the answers to gprxy's reset.
func forging(p *pen, end string) []step {
	return append(armed(p, true, p.parse("", "select @ 'open'")), say(copyData("x"), closing('S', "none")), awaitMaybe('E'),
		say(forgedReset(p, end), syncing, closing('S', "none"), syncing))
}

var scripts = []named{
	{name: "h1d", acts: after(copyData("x"), false, insertThree)},
	{name: "h1c", acts: after(copyDone, false, insertThree)},
	{name: "h1f", acts: after(copyFail("no"), false, insertThree)},
	{name: "h1h", acts: after(flush, false, insertThree)},
	{name: "h1s", acts: after(syncing, false, insertThree)},
	{name: "h1q", acts: func(p *pen) []step {
		return append(armed(p, false, p.parse("", "select @ 'open'")), say(p.query("insert into sink @ values (13)"), insertThree(p)))
	}},
	{name: "h1p", acts: func(p *pen) []step {
		return append(armed(p, false, p.parse("", "select @ 'open'")), say(p.parse("", "select @ 2"), insertThree(p)))
	}},
	{name: "h1b", acts: after(bind("", ""), false, insertThree)},
	{name: "h1e", acts: after(execute("", 0), false, insertThree)},
	{name: "h1describe", acts: after(describe('S', ""), false, insertThree)},
	{name: "h1close", acts: after(closing('S', "s"), false, insertThree)},
	{name: "h1call", acts: after(functionCall(177, "\x00\x00\x00\x01", "\x00\x00\x00\x02"), false, insertThree)},
	{name: "h2window", acts: after(copyData("x"), true, insertThree)},
	{name: "h2flush", acts: after(flush, true, func(p *pen) string { return syncing + insertThree(p) })},
	{name: "h3forged", acts: func(p *pen) []step { return forging(p, p.query("select @ 'forged', 'forged'")) }},
	{name: "h3copy", acts: func(p *pen) []step { return forging(p, p.query("copy @ sink from stdin")) }},
	{name: "h3late", acts: after(copyData("x"), true, func(p *pen) string { return forgedReset(p, p.query("select @ 'forged'")) })},
	{name: "h3flush", acts: after(flush, true, func(p *pen) string { return syncing + forgedReset(p, p.query("copy @ sink from stdin")) })},
	{name: "closes", acts: func(p *pen) []step {
		return append(armed(p, true, p.parse("", "select @ 'open'")), say(manyCloses), awaitMaybe('E'),
			say(p.query("rollback @"), p.run("insert into sink @ values (14)"), syncing), wait(late))
	}},
	{name: "closesbatch", acts: func(p *pen) []step {
		return steps(say(p.run(manyLocks), p.run("set @ statement_timeout = '30ms'"), p.parse("", "select @ 1"), flush),
			await('1'), await('1'), await('1'), wait(timeout+late),
			say(manyCloses), awaitMaybe('E'), say(p.run("insert into sink @ values (15)"), syncing), wait(late))
	}},
	// A batch in doubt that has no Sync and a COPY that has no end, and a client that closes its sending side and reads on.
	{name: "halfindoubt", leave: leaveHalf, acts: after(copyData("x"), true, func(p *pen) string {
		return strings.Repeat(closing('S', "none"), 10) + p.query("rollback @") + p.query("copy @ sink from stdin")
	})},
	// Time runs out while PostgreSQL commits: CommandComplete, and then the error.
	{name: "latecommit", acts: func(p *pen) []step {
		all := steps(say(p.query("set @ statement_timeout = '30ms'")), await('Z'))
		for _, n := range []int{4000, 5000, 6000, 7000, 8000, 9000, 10000, 11000} {
			all = append(all, say(p.query(fmt.Sprintf("select @ count(pg_advisory_xact_lock(g)) from generate_series(1, %d) g", n))), await('Z'))
		}
		return all
	}},
	{name: "copyquery", acts: func(p *pen) []step {
		return append(armedAlone(p),
			say(copyData("x"), p.query("insert into sink @ values (16)")), await('Z'), awaitMaybe('Z'), say(p.query("select @ 17")), awaitMaybe('Z'))
	}},
	{name: "flushquery", acts: func(p *pen) []step {
		return append(armedAlone(p),
			say(flush, p.query("select @ 18"), syncing), await('Z'),
			say(p.query("insert into sink @ values (19)")), awaitMaybe('Z'), say(p.query("select @ 1/0")), awaitMaybe('Z'),
			say(p.query("select @ 20")), awaitMaybe('Z'))
	}},
}

// play makes a conversation of a script.
func (s named) play() conversation {
	c := conversation{name: s.name}
	p := newPen(c.name, 0)
	a := actor{steps: s.acts(p), leave: s.leave, queries: p.queries}
	if a.leave == "" {
		a.leave = leaveTerminate
	}
	c.actors = []actor{a}
	return c
}
