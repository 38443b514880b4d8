// One statement: sent, its answer printed as it comes.

package prompt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// query runs a statement. Statements go as simple queries: the server itself says whether it is a COPY.
func (p *prompt) query(ctx context.Context, sql string) error {
	if strings.IndexByte(sql, 0) >= 0 {
		return p.refuse("a statement holds a NUL byte")
	}
	return p.exchange(ctx, &exchange{prompt: p, sql: sql})
}

// exchange runs a statement on a connection that was there just before.
func (p *prompt) exchange(ctx context.Context, e *exchange) error {
	if err := p.online(ctx); err != nil {
		return err
	}
	p.last = e.sql
	began := time.Now()
	err := p.finish(p.watched(ctx, e.run), began)
	if errors.Is(err, errLost) && p.interactive() {
		fmt.Fprintln(p.Err, "Whether the statement was carried out is not known. It is not sent again; the history has it.")
	}
	return err
}

// finish is what follows any work for the person.
func (p *prompt) finish(err error, began time.Time) error {
	if p.conn.IsClosed() {
		p.conn = nil
		if !errors.Is(err, errFailed) && err != nil {
			p.complain("the connection was lost: " + err.Error())
		}
		err = errLost
	}
	for _, n := range p.news {
		fmt.Fprintf(p.out, "Notification %q of process %d: %s\n", safe(n.Channel), n.PID, safe(n.Payload))
	}
	p.news = nil
	if p.timing {
		fmt.Fprintln(p.out, "Time: "+duration(time.Since(began)))
	}
	return err
}

// duration writes a time as psql's \timing does.
func duration(d time.Duration) string {
	ms := fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
	if d < time.Second {
		return ms
	}
	s := d.Seconds()
	clock := fmt.Sprintf("%02d:%06.3f", int(s)/60%60, s-float64(int(s)/60*60))
	if d >= time.Hour {
		clock = fmt.Sprintf("%02d:%s", int(s)/3600, clock)
	}
	return ms + " (" + clock + ")"
}

// online connects again if the connection was lost. A loss that nobody has noticed yet, as after a restart of the server while a
// person was thinking, is found before the statement is sent: so it cannot have run, and goes to the new connection. If there was
// a transaction it is not sent either: outside of the transaction it would mean something else.
func (p *prompt) online(ctx context.Context) error {
	if p.conn != nil && !p.conn.IsClosed() {
		lost, in := p.lost(), p.conn.TxStatus()
		if !lost {
			return nil
		}
		p.conn = nil
		if in != 'I' {
			p.complain("the transaction is gone with the connection; the statement was not sent, and the next one connects again")
			return errLost
		}
	}
	if err := p.connect(ctx, p.database); err != nil {
		p.complain(err.Error())
		return errLost
	}
	fmt.Fprintln(p.Err, "Connected again; settings and transactions of the old connection are gone.")
	return nil
}

// alive is how long a connection is asked whether its end has arrived.
const alive = time.Millisecond

// lost reports whether the connection has ended since it was last used, and tells why. In a script that ends the work, as it
// does in the middle of a statement.
func (p *prompt) lost() bool {
	if !p.interactive() {
		return false
	}
	for {
		ctx, done := context.WithTimeout(context.Background(), alive)
		_, err := p.conn.ReceiveMessage(ctx) // a notice, notification or parameter goes to the connection's own handlers
		done()
		switch {
		case err != nil && pgconn.Timeout(err) && !p.conn.IsClosed():
			return false
		case err != nil:
			if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
				p.fail(refused, "")
			} else {
				p.complain("the connection was lost: " + err.Error())
			}
			return true
		}
	}
}

// exchange is one statement and the messages it is answered with.
type exchange struct {
	*prompt
	sql     string
	from    func() ([]byte, error) // data for COPY … FROM STDIN; nil: the lines that follow
	to      *lateFile              // for the data of COPY … TO STDOUT; nil: the output
	result  *result
	page    *page // of result; nil: it goes to the output
	once    bool  // \gx: one line for each column
	copied  bool  // rows went to the output
	failure error
}

func (e *exchange) run(ctx context.Context) error {
	defer e.leave()
	front := e.conn.Frontend()
	front.SendQuery(&pgproto3.Query{String: e.sql})
	if err := front.Flush(); err != nil {
		return e.gone(ctx, fmt.Errorf("send the statement: %w", err))
	}
	for {
		message, err := e.conn.ReceiveMessage(ctx)
		if _, copying := message.(*pgproto3.CopyInResponse); copying && err == nil {
			message, err = e.copyIn(ctx)
		}
		if err != nil {
			return e.gone(ctx, err)
		}
		if _, ready := message.(*pgproto3.ReadyForQuery); ready {
			return e.failure
		}
		if err := e.take(message); err != nil {
			return err
		}
	}
}

// gone is for a connection that cannot be used any more: a FATAL error, or no answer at all.
func (e *exchange) gone(ctx context.Context, err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		e.fail(refused, e.sql)
		err = errFailed
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer done()
	_ = e.conn.Close(ctx) // err says why already
	return err
}

// take prints a message. Its bytes are the connection's until the next one.
func (e *exchange) take(message pgproto3.BackendMessage) error {
	switch m := message.(type) {
	case *pgproto3.RowDescription:
		e.begin(m.Fields)
	case *pgproto3.DataRow:
		if e.result == nil {
			return errors.New("the server sent a row without its description")
		}
		return e.result.add(m.Values)
	case *pgproto3.CopyOutResponse:
		if e.copied = e.to == nil; e.to != nil {
			e.to.empty()
		}
	case *pgproto3.CopyData:
		if e.to != nil {
			_, err := e.to.Write(m.Data)
			return err
		}
		_, err := e.out.Write(m.Data)
		return err
	case *pgproto3.CommandComplete:
		return e.complete(string(m.CommandTag))
	case *pgproto3.ErrorResponse:
		if err := e.endResult(); err != nil {
			return err
		}
		e.fail(pgconn.ErrorResponseToPgError(m), e.sql)
		e.failure = errFailed
	}
	return nil
}

// complete prints the rest of a result, and the tag of everything that is no plain query.
func (e *exchange) complete(tag string) error {
	quiet := e.result != nil || e.copied || e.to != nil && e.to.failed != nil
	e.copied = false
	if err := e.endResult(); err != nil {
		return err
	}
	verb, _, _ := strings.Cut(tag, " ")
	switch verb {
	case "INSERT", "UPDATE", "DELETE", "MERGE":
		quiet = false
	}
	if !quiet {
		fmt.Fprintln(e.out, safe(tag))
	}
	return e.out.Flush()
}

// begin begins a result, on a page of its own where a person reads it.
func (e *exchange) begin(fields []pgproto3.FieldDescription) {
	out := e.out
	if e.page = e.newPage(); e.page != nil {
		out = bufio.NewWriterSize(e.page, 32<<10)
	}
	e.result = newResult(out, e.expanded || e.once, fields)
}

// endResult prints the rest of a result, and waits until the person has left its page.
func (e *exchange) endResult() error {
	if e.result == nil {
		return nil
	}
	return errors.Join(e.result.end(), e.leave())
}

// leave ends the page, whether the result came to its end or not.
func (e *exchange) leave() error {
	var err error
	if e.page != nil {
		err = e.page.finish(e.result.out)
	}
	e.result, e.page = nil, nil
	return err
}
