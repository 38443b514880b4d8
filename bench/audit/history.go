// The log that is asked: sixty days of people at work.

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gprxy/store"
)

const (
	oneDay     = 24 * time.Hour
	days       = 60
	people     = 300
	accounts   = 12
	databases  = 5
	texts      = 400 // prepared statements that everybody runs
	openAtOnce = 40
	batch      = 1000 // events handed over together
)

// pair is how many statements a session runs at once when it begins, and before it ends.
type pair struct{ early, late int }

var fewStatements = pair{3, 2}

// history makes events in the order in which they would have come about.
type history struct {
	ctx    context.Context
	log    *store.DB
	runs   pair
	random *rand.Rand
	now    time.Time // in the story
	step   time.Duration
	events []store.Event
	open   []visit
}

// visit is a session that goes on.
type visit struct {
	id    string
	began time.Time
}

// makeLog writes a log of so many sessions in the time before until.
func makeLog(ctx context.Context, path string, sessions int, runs pair, until time.Time, long time.Duration) error {
	log, err := store.Open(ctx, path, store.Options{})
	if err != nil {
		return err
	}
	h := &history{
		ctx: ctx, log: log, runs: runs, random: rand.New(rand.NewPCG(1, 2)),
		now: until.Add(-long), step: long / time.Duration(sessions),
	}
	for n := range sessions {
		if err = h.session(n); err != nil {
			break
		}
	}
	if err == nil {
		err = log.Append(ctx, h.events...)
	}
	return errors.Join(err, log.Close(ctx))
}

// session lets a session begin, another run something, and the oldest end.
func (h *history) session(n int) error {
	h.now = h.now.Add(h.step)
	h.begin(n)
	if len(h.open) > openAtOnce {
		oldest := h.open[0]
		h.open = h.open[1:]
		h.end(oldest)
	}
	if len(h.events) < batch {
		return nil
	}
	err := h.log.Append(h.ctx, h.events...)
	h.events = nil
	return err
}

func (h *history) add(id string, after time.Duration, fact store.Fact) {
	h.events = append(h.events, store.Event{Time: h.now.Add(after), Session: id, Fact: fact})
}

// begin logs somebody in: some people come far more often than others, and one login in fifty is refused.
func (h *history) begin(n int) {
	id := store.NewSessionID(h.now)
	who := int(float64(people) * h.random.Float64() * h.random.Float64())
	person, account := fmt.Sprintf("person%03d@example.com", who), fmt.Sprintf("app_%02d", who%accounts)
	h.add(id, 0, store.SessionConnected{
		Client: fmt.Sprintf("10.%d.%d.%d:%d", who%7, who%250, n%250, 1024+n%60_000), RequestedUser: person,
		Database: fmt.Sprintf("shop_%d", who%databases), ApplicationName: "psql", TLS: "TLSv1.3", Protocol: "3.0",
	})
	if n%50 == 49 {
		h.add(id, time.Millisecond, store.AuthFailed{Method: "token", User: person, Issuer: "https://login.example.com/", Reason: "expired",
			Detail: "since 3m"})
		h.add(id, time.Millisecond, store.SessionRefused{SQLState: "28P01", Reason: "bad_token", Message: "authentication failed"})
		return
	}
	expires := h.now.Add(time.Hour).UTC().Truncate(time.Second)
	h.add(id, time.Millisecond, store.AuthSucceeded{
		Method: "token", User: person, Issuer: "https://login.example.com/", Subject: fmt.Sprint("auth0|", who),
		Roles: []string{"reader", "staff"}, TokenID: fmt.Sprintf("t%010d", n), TokenExpires: &expires,
	})
	h.add(id, time.Millisecond, store.RoleMapped{Role: "reader", ServiceAccount: account, Rule: "ROLE_MAPPING_READER"})
	h.add(id, 3*time.Millisecond, store.SessionStarted{ServiceAccount: account, BackendPID: uint32(4000 + n%200), Backend: "10.0.0.2:5432",
		WaitMS: 0.4, Reused: true})
	h.open = append(h.open, visit{id, h.now})
	h.run(id, h.runs.early)
}

// run adds statements that ran one after another.
func (h *history) run(id string, n int) {
	if n == 0 {
		return
	}
	statements := make([]store.Statement, n)
	at := h.now.Add(5 * time.Millisecond)
	for i := range statements {
		which := h.random.IntN(texts)
		statements[i] = store.Statement{
			Kind: store.KindExtended, Parsed: true, SQL: fmt.Sprintf("SELECT id, name, price FROM products_%03d WHERE id = $1 AND shop = $2 "+
				"ORDER BY name", which),
			Name: fmt.Sprint("stmt_", which), Tag: "SELECT", Rows: 1, TxStatus: "I", BytesIn: 52, BytesOut: 148,
			Start: at, US: int64(150 + h.random.IntN(400)),
		}
		at = at.Add(time.Millisecond)
	}
	h.events = append(h.events, store.Event{Session: id, Fact: store.StatementsExecuted{Statements: statements}})
}

func (h *history) end(v visit) {
	h.run(v.id, h.runs.late)
	h.add(v.id, 10*time.Millisecond, store.SessionEnded{
		Reason: store.EndTerminated, DurationMS: float64(h.now.Sub(v.began).Milliseconds()), Statements: 5, Rows: 5, BytesIn: 260, BytesOut: 740,
	})
}
