// What clients do once they are in: every way to write a row, and what is no writing at all.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// guest is a client that is in.
type guest struct {
	*round
	*visit
	conn   *pgconn.PgConn
	random *rand.Rand
}

// work does some of what there is to do, and stops when the connection is gone.
func (g *guest) work(ctx context.Context) {
	works := []func(*guest, context.Context) error{
		(*guest).insert, (*guest).insertExtended, (*guest).insertPipelined, (*guest).insertFailing,
		(*guest).transact, (*guest).transactOpenEnd, (*guest).copyIn, (*guest).copyGivenUp,
		(*guest).read, (*guest).cancelled, (*guest).leaveBusy,
	}
	for range 1 + g.random.IntN(3) {
		if err := works[g.random.IntN(len(works))](g, ctx); err != nil || g.conn.IsClosed() {
			return
		}
	}
}

// rows gives the ids of n new rows.
func (g *guest) rows(n int) []int64 {
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = g.row.Add(1)
	}
	g.sent = append(g.sent, ids...)
	return ids
}

// learn notes what an answer says about rows, and returns what ends the visit. After anything but success and an ERROR
// nobody can know.
func (g *guest) learn(err error, ids ...int64) error {
	if err == nil {
		g.kept = append(g.kept, ids...)
		for _, id := range ids {
			g.told[id] = time.Now()
		}
		return nil
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Severity == "ERROR" {
		g.gone = append(g.gone, ids...)
		return nil
	}
	return err
}

const insertRow = "INSERT INTO ledger (id) VALUES ($1)"

func values(ids []int64) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = fmt.Sprintf("(%d)", id)
	}
	return strings.Join(texts, ", ")
}

func (g *guest) run(ctx context.Context, sql string) error {
	_, err := g.conn.Exec(ctx, sql).ReadAll()
	return err
}

func (g *guest) insert(ctx context.Context) error {
	ids := g.rows(1 + g.random.IntN(3))
	return g.learn(g.run(ctx, "INSERT INTO ledger (id) VALUES "+values(ids)), ids...)
}

func (g *guest) insertExtended(ctx context.Context) error {
	id := g.rows(1)[0]
	result := g.conn.ExecParams(ctx, insertRow, [][]byte{digits(id)}, nil, nil, nil).Read()
	return g.learn(result.Err, id)
}

func digits(id int64) []byte { return strconv.AppendInt(nil, id, 10) }

// insertFailing inserts in a statement that fails at its end.
func (g *guest) insertFailing(ctx context.Context) error {
	ids := g.rows(2)
	g.gone = append(g.gone, ids...)
	err := g.run(ctx, fmt.Sprintf("INSERT INTO ledger (id) VALUES %s; SELECT 1 / 0", values(ids)))
	return g.learn(err)
}

// insertPipelined sends three transactions ahead, one of which may fail, and then reads the answers.
func (g *guest) insertPipelined(ctx context.Context) error {
	batches := [][]int64{g.rows(2), g.rows(3), g.rows(1)}
	fails := g.random.IntN(6) // often none
	p := g.conn.StartPipeline(ctx)
	for i, ids := range batches {
		for _, id := range ids {
			p.SendQueryParams(insertRow, [][]byte{digits(id)}, nil, nil, nil)
		}
		if i == fails {
			p.SendQueryParams("SELECT 1 / 0", nil, nil, nil, nil)
		}
		p.SendPipelineSync()
	}
	if err := p.Flush(); err != nil {
		return errors.Join(err, p.Close())
	}
	err := g.readPipeline(p, batches)
	return errors.Join(err, p.Close())
}

// readPipeline learns from each Sync's ReadyForQuery what became of its batch.
func (g *guest) readPipeline(p *pgconn.Pipeline, batches [][]int64) error {
	var failed error
	for len(batches) > 0 {
		result, err := p.GetResults()
		if reader, ok := result.(*pgconn.ResultReader); ok {
			_, err = reader.Close()
		}
		if err != nil {
			if _, ok := errors.AsType[*pgconn.PgError](err); !ok {
				return err
			}
			failed = err
		}
		if _, synced := result.(*pgconn.PipelineSync); synced {
			if err := g.learn(failed, batches[0]...); err != nil {
				return err
			}
			batches, failed = batches[1:], nil
		}
	}
	return nil
}

// transact writes in a transaction, and commits it or rolls it back.
func (g *guest) transact(ctx context.Context) error {
	commits := g.random.IntN(3) > 0
	ids := g.rows(3)
	if !commits {
		g.gone = append(g.gone, ids...)
	}
	for _, sql := range []string{"BEGIN", "INSERT INTO ledger (id) VALUES " + values(ids[:2]),
		"INSERT INTO ledger (id) VALUES " + values(ids[2:])} {
		if err := g.run(ctx, sql); err != nil {
			return err // COMMIT was not sent; that the rows are gone is not needed
		}
	}
	if !commits {
		return g.run(ctx, "ROLLBACK")
	}
	return g.learn(g.run(ctx, "COMMIT"), ids...)
}

// errLeft says that the client has had enough.
var errLeft = errors.New("the client leaves")

// transactOpenEnd leaves in a transaction: what it wrote must not stay.
func (g *guest) transactOpenEnd(ctx context.Context) error {
	ids := g.rows(2)
	g.gone = append(g.gone, ids...)
	if err := g.run(ctx, "BEGIN; INSERT INTO ledger (id) VALUES "+values(ids)); err != nil {
		return err
	}
	return errLeft
}

func (g *guest) copyIn(ctx context.Context) error {
	ids := g.rows(1 + g.random.IntN(50))
	_, err := g.conn.CopyFrom(ctx, lines(ids), "COPY ledger (id) FROM STDIN")
	return g.learn(err, ids...)
}

// copyGivenUp ends a COPY with CopyFail.
func (g *guest) copyGivenUp(ctx context.Context) error {
	ids := g.rows(20)
	g.gone = append(g.gone, ids...)
	_, err := g.conn.CopyFrom(ctx, io.MultiReader(lines(ids), failing{}), "COPY ledger (id) FROM STDIN")
	if _, ok := errors.AsType[*pgconn.PgError](err); ok {
		return nil
	}
	return err
}

func lines(ids []int64) io.Reader {
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintln(&b, id)
	}
	return strings.NewReader(b.String())
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the client gives up") }

func (g *guest) read(ctx context.Context) error {
	return g.run(ctx, "SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i; SELECT count(*) FROM ledger")
}

// cancelled runs a statement that writes only at its end, and cancels it. A cancel that comes too early hits nothing; then the
// statement runs to its end.
func (g *guest) cancelled(ctx context.Context) error {
	id := g.rows(1)[0]
	after := time.Duration(1+g.random.IntN(20)) * time.Millisecond
	finished := make(chan struct{})
	served := make(chan bool)
	go func() { // ends before this function returns
		select {
		case <-time.After(after):
			err := g.conn.CancelRequest(ctx)
			served <- err == nil && !g.over.Load() && !g.postgresDied.Load()
		case <-finished:
			served <- false
		}
	}()
	err := g.run(ctx, fmt.Sprintf("INSERT INTO ledger (id) SELECT %d FROM pg_sleep(0.5)", id))
	close(finished)
	wasServed := <-served
	err = g.learn(err, id)
	g.visit.cancelled = wasServed && err == nil // else the session may have been over before the cancel came
	return err
}

// leaveBusy leaves while a statement runs.
func (g *guest) leaveBusy(ctx context.Context) error {
	g.conn.Exec(ctx, "SELECT pg_sleep(0.5)")
	if err := pause(ctx, time.Duration(g.random.IntN(5))*time.Millisecond); err != nil {
		return err
	}
	g.conn.Conn().Close()
	return errLeft
}
