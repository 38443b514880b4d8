// The judgement: what clients were told, what the log tells and what PostgreSQL holds are to be one truth.
package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"

	"gprxy/store"
)

const maxProblems = 10 // of one round that are shown

// judge compares everything that a round left behind. gprxy and PostgreSQL run again.
func (c *campaign) judge(ctx context.Context, r *round) error {
	path := c.eventLog(c.log)
	if r.postgresDied.Load() {
		if err := c.awaitSessionsEnded(ctx, path); err != nil {
			return err
		}
	}
	if err := c.verify(ctx, path); err != nil {
		return err
	}
	told, err := readStories(ctx, path, c.before)
	if err != nil {
		return err
	}
	c.before = told.last
	rows, err := c.readRows(ctx, r.lastRow)
	if err != nil {
		return err
	}
	j := &judgement{round: r, logged: told, rows: rows}
	j.compare()
	c.figures.count(j)
	return j.verdict()
}

// verify runs `gprxy audit verify`, as an auditor would: the chain, and the projection as its fold.
func (c *campaign) verify(ctx context.Context, path string) error {
	command := exec.CommandContext(ctx, c.binary, "audit", "verify", "--event-log", path)
	command.Dir, command.Env = c.dir, []string{"HOME=" + c.dir}
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("gprxy audit verify: %w\n%s", err, out)
	}
	return nil
}

// awaitSessionsEnded is for a gprxy that lives on: the ends of its sessions reach the log a little later.
func (c *campaign) awaitSessionsEnded(ctx context.Context, path string) error {
	log, err := store.OpenReader(ctx, path)
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = poll(ctx, "the sessions are ended in the log", sessionsEndLimit, func() (bool, error) {
		told, err := readStories(ctx, path, c.before)
		for _, stories := range told.stories {
			for _, s := range stories {
				if !s.over() {
					return false, nil
				}
			}
		}
		return true, err
	})
	return err
}

// entry is a row of the ledger as PostgreSQL holds it.
type entry struct {
	person, account string
	pid             uint32
}

func (c *campaign) readRows(ctx context.Context, after int64) (map[int64]entry, error) {
	found, err := c.postgres.Query(ctx, database, fmt.Sprintf("SELECT id, person, account, pid FROM ledger WHERE id > %d", after))
	if err != nil {
		return nil, err
	}
	rows := make(map[int64]entry, len(found))
	for _, f := range found {
		id, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read a row of the ledger: %w", err)
		}
		pid, err := strconv.ParseUint(f[3], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("read row %d of the ledger: %w", id, err)
		}
		rows[id] = entry{person: f[1], account: f[2], pid: uint32(pid)}
	}
	return rows, nil
}

// judgement is the comparison of one round.
type judgement struct {
	*round
	logged
	rows map[int64]entry

	problems []string
	counted  int // refusals that the log may count instead of recording them
	unknown  int // rows of which their client could not know whether they are stored
	held     int // rows whose statement was looked for in the log
}

func (j *judgement) wrong(format string, args ...any) {
	j.problems = append(j.problems, fmt.Sprintf(format, args...))
}

func (j *judgement) verdict() error {
	if len(j.problems) == 0 {
		return nil
	}
	problems := errors.New(strconv.Itoa(len(j.problems)) + " contradictions")
	for _, p := range j.problems[:min(len(j.problems), maxProblems)] {
		problems = fmt.Errorf("%w\n  %s", problems, p)
	}
	return problems
}

func (j *judgement) compare() {
	addresses := map[string]bool{}
	for _, v := range j.visits {
		addresses[v.address] = true
		told := j.stories[v.address]
		switch {
		case v.knocks && len(told) > 0:
			j.wrong("%s sent no startup packet and is session %s", v.address, told[0].id)
		case v.admitted:
			j.checkAdmitted(v, told)
		case v.refused != "":
			j.checkRefused(v, told)
		}
		j.checkRows(v, told)
	}
	for address, told := range j.stories {
		for _, s := range told {
			if !addresses[address] {
				j.wrong("session %s is of %q, where no client was", s.id, address)
			}
			if !s.lived() {
				j.wrong("session %s has the events %q", s.id, s.types)
			}
		}
	}
	for id := range j.rows {
		j.wrong("row %d is stored, and no client sent it", id)
	}
	j.checkGap()
}

// checkAdmitted: whoever was let in stands in the log as who it is, with the account and the backend it got.
func (j *judgement) checkAdmitted(v *visit, told []*story) {
	if v.sqlstate != "" {
		j.wrong("%s was let in and should have got %s", v.address, v.sqlstate)
	}
	s := find(told, func(s *story) bool { return slices.Contains(s.types, "session.started") })
	if s == nil {
		j.wrong("%s was let in, and the log has no session.started of it", v.address)
		return
	}
	if s.succeeded.User != v.person || s.mapped.ServiceAccount != v.account || s.started.ServiceAccount != v.account {
		j.wrong("session %s is of %q, served by %q; the log has %q, mapped to %q, served by %q", s.id, v.person, v.account,
			s.succeeded.User, s.mapped.ServiceAccount, s.started.ServiceAccount)
	}
	if s.started.BackendPID != v.pid {
		j.wrong("session %s has backend %d; the log has %d", s.id, v.pid, s.started.BackendPID)
	}
	if v.cancelled && s.cancels == 0 {
		j.wrong("session %s was cancelled, and the log does not have it", s.id)
	}
}

// checkRefused: a client reads of its refusal only once that is in the log, unless strangers cause too many of them.
func (j *judgement) checkRefused(v *visit, told []*story) {
	if v.refused != v.sqlstate && !j.postgresDied.Load() {
		j.wrong("%s (user %s, database %s) was refused with %s, expected %q", v.address, v.user, v.database, v.refused, v.sqlstate)
	}
	s := find(told, func(s *story) bool { return s.refused.SQLState == v.refused })
	switch {
	case s == nil && v.unjudged && v.refused == v.sqlstate:
		j.counted++
	case s == nil:
		j.wrong("%s was refused with %s, and the log does not have it", v.address, v.refused)
	case v.reason != "" && s.refused.Reason != v.reason && !j.postgresDied.Load():
		j.wrong("session %s was refused for %q, expected %q", s.id, s.refused.Reason, v.reason)
	}
}

// checkRows: what a client was told is stored is, what cannot be is not, and each row is of a session in the log. The rows
// of all clients are taken off the found ones.
func (j *judgement) checkRows(v *visit, told []*story) {
	for _, id := range v.kept {
		if _, stored := j.rows[id]; !stored {
			j.wrong("row %d of %s was acknowledged and is not stored", id, v.address)
		}
	}
	for _, id := range v.gone {
		if _, stored := j.rows[id]; stored {
			j.wrong("row %d of %s was refused, rolled back or never committed, and is stored", id, v.address)
		}
	}
	j.unknown += len(v.sent) - len(v.kept) - len(v.gone)
	for _, id := range v.sent {
		row, stored := j.rows[id]
		if !stored {
			continue
		}
		delete(j.rows, id)
		if find(told, func(s *story) bool { return s.wrote(row) }) == nil {
			j.wrong("row %d was written by %+v, which is no session of %s in the log", id, row, v.address)
		}
		j.checkStatement(v, told, id)
	}
}

func (s *story) wrote(row entry) bool {
	return s.succeeded.User == row.person && s.started.ServiceAccount == row.account && s.started.BackendPID == row.pid
}

// over tells whether the session's last event ends it.
func (s *story) over() bool {
	last := s.types[len(s.types)-1]
	return last == "session.ended" || last == "session.refused"
}

func find(told []*story, is func(*story) bool) *story {
	if i := slices.IndexFunc(told, is); i >= 0 {
		return told[i]
	}
	return nil
}
