// COPY … FROM STDIN: the lines after the statement are its data, or the file of a \copy.

package prompt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"
)

const copyFlush = 64 << 10 // bytes of data sent at once

// copyIn sends the data and returns the message that answers it. The server may speak at any time: it is
// listened to while data is sent, or both sides could wait for each other.
func (e *exchange) copyIn(ctx context.Context) (pgproto3.BackendMessage, error) {
	if e.interactive() && e.from == nil {
		fmt.Fprintln(e.out, `Enter the data, one row a line. End with a line of \. alone, or with Ctrl-D.`)
	}
	if err := e.out.Flush(); err != nil {
		return nil, err
	}
	var answer pgproto3.BackendMessage
	var broken error
	answered := make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() {
		defer close(answered)
		for answer == nil && broken == nil {
			answer, broken = e.conn.ReceiveMessage(ctx)
			switch answer.(type) {
			case *pgproto3.NoticeResponse, *pgproto3.NotificationResponse, *pgproto3.ParameterStatus:
				answer = nil // the connection's own handlers took it
			}
		}
	})
	err := e.sendData(answered)
	listening.Wait()
	if broken == nil {
		broken = err
	}
	return answer, broken
}

// sendData sends until the data ends or the server has answered, which it does early only to refuse.
func (e *exchange) sendData(answered <-chan struct{}) error {
	front := e.conn.Frontend()
	next := e.from
	if next == nil {
		next = e.lines.data
	}
	unsent := 0
	for {
		select {
		case <-answered:
			return nil
		default:
		}
		data, err := next()
		if err != nil {
			return e.endData(front, err)
		}
		front.Send(&pgproto3.CopyData{Data: data})
		if unsent += len(data); unsent >= copyFlush || e.interactive() && e.from == nil {
			unsent = 0
			if err := front.Flush(); err != nil {
				return fmt.Errorf("send data: %w", err)
			}
		}
	}
}

// endData ends the COPY well, or gives it up when the data could not be read to its end.
func (e *exchange) endData(front *pgproto3.Frontend, why error) error {
	var last pgproto3.FrontendMessage = &pgproto3.CopyDone{}
	switch {
	case errors.Is(why, io.EOF):
	case e.from != nil:
		last = &pgproto3.CopyFail{Message: "the client could not read its file: " + safe(why.Error())}
	default:
		last = &pgproto3.CopyFail{Message: "canceled by user"}
	}
	front.Send(last)
	if err := front.Flush(); err != nil {
		return fmt.Errorf("send data: %w", err)
	}
	return nil
}
