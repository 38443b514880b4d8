// The texts of an actor: each carries a mark, so that it is found again in PostgreSQL's log and in the event log.
package main

import "fmt"

// pen writes the texts of one actor.
type pen struct {
	actor   string // label of the actor
	n       int
	queries map[int]bool // the texts that stand in a Query: such a one is in the log even if it cannot be parsed
}

func newPen(conversation string, actor int) *pen {
	return &pen{actor: label(conversation, actor), queries: map[int]bool{0: true}}
}

// text marks a text where its "@" stand.
func (p *pen) text(sql string) string {
	p.n++
	return mark(sql, p.actor, p.n)
}

func (p *pen) query(sql string) string {
	text := p.text(sql)
	p.queries[p.n] = true
	return query(text)
}

func (p *pen) parse(name, sql string) string { return parse(name, p.text(sql)) }
func (p *pen) run(sql string) string         { return run(p.text(sql)) }

// label is how an actor of a conversation is called.
func label(conversation string, actor int) string { return fmt.Sprintf("%sx%d", conversation, actor) }
