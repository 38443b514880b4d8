package main

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"gprxy/store"
)

// A proxy killed at any moment loses no event of a session it let in. `make crash` is the long form.
func TestKilledUnderLoad(t *testing.T) {
	out, err := os.CreateTemp(t.TempDir(), "progress")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, durability := range []string{store.DurabilityAsync, store.DurabilityStrict} {
		p := plan{kills: 5, seed: rand.Uint64(), clients: 6, postgresEvery: 4, race: true, durability: durability}
		figures, err := wage(t.Context(), p, newScreen(out))
		if err != nil {
			t.Fatalf("seed %d, %s: %v", p.seed, durability, err)
		}
		if figures.admitted == 0 || figures.refused == 0 || figures.kept == 0 || figures.postgresKilled == 0 || figures.held == 0 {
			t.Errorf("seed %d, %s: nothing happened: %+v", p.seed, durability, figures)
		}
		figures.print(t.Output())
	}
}

// A harness that finds nothing has to be able to find everything.
func TestEveryContradictionIsFound(t *testing.T) {
	tests := map[string]struct {
		spoil func(*judgement, *visit, *story)
		want  string
	}{
		"nothing": {func(*judgement, *visit, *story) {}, ""},
		"no such session": {func(j *judgement, v *visit, _ *story) {
			delete(j.stories, v.address)
		}, "no session.started"},
		"a session of nobody": {func(j *judgement, _ *visit, s *story) {
			j.stories["192.0.2.1:1"] = []*story{s}
		}, "where no client was"},
		"a session of a stranger": {func(_ *judgement, v *visit, _ *story) {
			*v = visit{login: login{knocks: true}, address: v.address}
		}, "sent no startup packet"},
		"not ended": {func(_ *judgement, _ *visit, s *story) {
			s.types = s.types[:4]
		}, "has the events"},
		"ended twice": {func(_ *judgement, _ *visit, s *story) {
			s.types = append(s.types, "session.ended")
		}, "has the events"},
		"a step missing": {func(_ *judgement, _ *visit, s *story) {
			s.types = append(s.types[:1:1], s.types[2:]...)
		}, "has the events"},
		"another person": {func(_ *judgement, _ *visit, s *story) { s.succeeded.User = "eve" }, `the log has "eve"`},
		"another account": {func(_ *judgement, _ *visit, s *story) {
			s.mapped.ServiceAccount = "app_writer"
		}, `mapped to "app_writer"`},
		"another backend": {func(_ *judgement, v *visit, _ *story) { v.pid++ }, "has backend 8; the log has 7"},
		"let in and not to be": {func(_ *judgement, v *visit, _ *story) {
			v.sqlstate = "28P01"
		}, "should have got 28P01"},
		"a cancel without record": {func(_ *judgement, v *visit, _ *story) { v.cancelled = true }, "was cancelled"},
		"a refusal without record": {func(_ *judgement, v *visit, _ *story) {
			v.admitted, v.refused, v.sqlstate = false, "28P01", "28P01"
		}, "was refused with 28P01, and the log does not have it"},
		"a refusal among too many": {func(j *judgement, v *visit, _ *story) {
			*v = visit{login: login{sqlstate: "42501", unjudged: true}, address: v.address, refused: "42501"}
			j.rows = nil
		}, ""},
		"another refusal": {func(_ *judgement, v *visit, s *story) {
			v.admitted, v.refused, s.refused.SQLState = false, "XX000", "XX000"
		}, "was refused with XX000, expected"},
		"another reason": {func(_ *judgement, v *visit, s *story) {
			v.admitted, v.refused, v.sqlstate, v.reason = false, "28P01", "28P01", "expired"
			s.refused = store.SessionRefused{SQLState: "28P01", Reason: "malformed"}
		}, `refused for "malformed"`},
		"a row lost":       {func(j *judgement, _ *visit, _ *story) { delete(j.rows, 1) }, "acknowledged and is not stored"},
		"a row taken back": {func(j *judgement, _ *visit, _ *story) { j.rows[2] = j.rows[1] }, "never committed, and is stored"},
		"a row of nobody":  {func(j *judgement, _ *visit, _ *story) { j.rows[3] = j.rows[1] }, "no client sent it"},
		"a row of another": {func(j *judgement, _ *visit, _ *story) {
			j.rows[1] = entry{"eve", "app_reader", 7}
		}, "no session of"},
		"strict, announced": {func(j *judgement, _ *visit, s *story) {
			j.scene.durability, s.announced = store.DurabilityStrict, []store.Statement{{SQL: "INSERT INTO ledger (id) VALUES (1)"}}
		}, ""},
		"strict, another announced": {func(j *judgement, _ *visit, s *story) {
			j.scene.durability, s.announced = store.DurabilityStrict, []store.Statement{{SQL: "INSERT INTO ledger (id) VALUES (11)"}}
		}, "no statement.started has it"},
		"async, long ago": {func(j *judgement, v *visit, _ *story) {
			j.scene.durability, j.killed = store.DurabilityAsync, time.Now()
			v.told = map[int64]time.Time{1: j.killed.Add(-time.Second)}
		}, "no statement.executed has it"},
		"async, just now": {func(j *judgement, v *visit, _ *story) {
			j.scene.durability, j.killed = store.DurabilityAsync, time.Now()
			v.told = map[int64]time.Time{1: j.killed.Add(-store.AsyncWindow / 2)}
		}, ""},
		"async, long ago, and recorded": {func(j *judgement, v *visit, s *story) {
			j.scene.durability, j.killed = store.DurabilityAsync, time.Now()
			v.told = map[int64]time.Time{1: j.killed.Add(-time.Second)}
			s.ran = []store.Statement{{SQL: "INSERT INTO ledger (id) VALUES ($1)", Params: []store.Param{{Text: "1"}}}}
		}, ""},
		"async, without a gap": {func(j *judgement, _ *visit, s *story) {
			j.scene.durability, j.killed = store.DurabilityAsync, time.Now()
			s.ended.Reason = store.EndAborted
		}, "the log has no log.gap"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := &visit{
				login:   login{person: "ann", account: "app_reader"},
				address: "127.0.0.1:4711", admitted: true, pid: 7,
				sent: []int64{1, 2}, kept: []int64{1}, gone: []int64{2},
			}
			s := &story{
				id: "s1", types: append([]string(nil), lives[0]...),
				succeeded: store.AuthSucceeded{User: "ann"}, mapped: store.RoleMapped{ServiceAccount: "app_reader"},
				started: store.SessionStarted{ServiceAccount: "app_reader", BackendPID: 7},
			}
			j := &judgement{
				round:  &round{scene: &scene{}, visits: []*visit{v}},
				logged: logged{stories: map[string][]*story{v.address: {s}}},
				rows:   map[int64]entry{1: {"ann", "app_reader", 7}},
			}
			test.spoil(j, v, s)
			j.compare()
			found := strings.Join(j.problems, "\n")
			if (test.want == "") != (found == "") || !strings.Contains(found, test.want) {
				t.Errorf("found %q, want %q", found, test.want)
			}
		})
	}
}
