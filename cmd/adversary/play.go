// A conversation played: actors one after the other on one backend, and then the victim.
package main

import (
	"context"
	"errors"
	"fmt"
)

// finding is a contradiction.
type finding struct {
	conversation conversation
	what         string
	told         []string // what PostgreSQL logged of the actor
}

// nobody is whose a finding is that no conversation is known of.
const nobody = "nobody"

// next is a login under way.
type next struct {
	session *line
	err     error
}

// play returns what went wrong for those who came next, and where bytes were others than PostgreSQL's.
func (l *lane) play(ctx context.Context, p *proxy, c conversation) (found []finding, err error) {
	wrong := func(format string, args ...any) {
		found = append(found, finding{conversation: c, what: fmt.Sprintf(format, args...)})
	}
	coming := l.begin(ctx, p, label(c.name, 0))
	for i := range len(c.actors) + 1 {
		who := label(c.name, i)
		came := <-coming
		if came.err != nil {
			if ctx.Err() == nil {
				wrong("%s could not log in: %v", who, came.err)
			}
			return found, ctx.Err()
		}
		session := came.session
		for _, w := range l.checkCanary(session, who) {
			wrong("%s found: %s", who, w)
		}
		if i == len(c.actors) {
			session.leave(leaveTerminate)
			break
		}
		heardBefore := len(session.messages())
		a := c.actors[i]
		session.play(ctx, a.steps)
		if c.mirror {
			session.settle()
			parted, err := l.mirrored(ctx, a, session.messages()[heardBefore:])
			if err != nil {
				return found, err
			}
			for _, w := range parted {
				wrong("%s: %s", who, w)
			}
		}
		// The next one is waiting for the backend when this one leaves it.
		coming = l.begin(ctx, p, label(c.name, i+1))
		session.leave(a.leave)
	}
	return found, nil
}

// begin logs in beside what goes on.
func (l *lane) begin(ctx context.Context, p *proxy, actor string) <-chan next {
	done := make(chan next, 1)
	go func() {
		session, err := login(ctx, p.addr, "anybody", l.token(person(actor)), l.database)
		done <- next{session, err}
	}()
	return done
}

// round plays conversations on one gprxy and then judges the books.
func (l *lane) round(ctx context.Context, strict bool, all []conversation, t *tally) (found []finding, err error) {
	l.rounds++
	offset, err := l.told()
	if err != nil {
		return nil, err
	}
	p, err := l.startProxy(ctx, strict)
	if err != nil {
		return nil, err
	}
	for i, seen := 0, offset; i < len(all) && err == nil; i++ {
		all[i].strict = strict
		l.playing = all[i].name
		wrong, playErr := l.play(ctx, p, all[i])
		found = append(found, wrong...)
		t.conversations.Add(1)
		crash, next, logErr := l.hasCrashed(seen)
		if crash {
			break // judged finds it, too, and plays the round again
		}
		seen, err = next, errors.Join(playErr, logErr)
	}
	if closeErr := p.close(ctx); err == nil {
		err = closeErr
	}
	if err != nil {
		return found, err
	}
	judged, err := l.judgeRound(ctx, p, offset, strict, all, t)
	return append(found, judged...), err
}

// judgeRound holds PostgreSQL's log against the event log, actor by actor.
func (l *lane) judgeRound(ctx context.Context, p *proxy, offset int64, strict bool, all []conversation, t *tally) ([]finding, error) {
	var found []finding
	if err := l.awaitNoBackends(ctx); err != nil {
		return nil, err
	}
	text, err := l.toldSince(ctx, offset)
	if err != nil {
		return nil, err
	}
	entries, err := entriesOf(text, l.database)
	if err != nil {
		return nil, err
	}
	books := readLedger(entries)
	records, err := readRecords(ctx, p.log)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		for i := range len(c.actors) + 1 {
			who := label(c.name, i)
			queries := map[int]bool{0: true} // the canary
			if i < len(c.actors) {
				queries = c.actors[i].queries
			}
			j := judgeActor(books.books[who], records[who], queries, strict)
			t.compared.Add(int64(j.compared))
			t.unknown.Add(int64(j.unknown))
			if i == len(c.actors) && j.unknown > 0 {
				j.contradiction("the victim's statements are in doubt: %s", tell(j.order))
			}
			for _, w := range j.wrong {
				found = append(found, finding{c, who + ": " + w, j.lines})
			}
		}
	}
	for _, w := range books.wrong {
		found = append(found, finding{conversation: conversation{name: nobody}, what: w})
	}
	return found, nil
}
