// Work on the server while the person may press Ctrl-C.

package prompt

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	cancelTimeout = 5 * time.Second  // for a cancel request to be delivered
	cancelledWait = 10 * time.Second // for the server to give up after ctx ended
)

// watched does work and asks the server to cancel it on Ctrl-C or at the end of ctx. work gets a ctx of
// its own: cutting that one costs the connection, so it is done only when the server does not react.
func (p *prompt) watched(ctx context.Context, work func(context.Context) error) error {
	p.drainInterrupts()
	own, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { p.watch(ctx, own, over, cut) })
	err := work(own)
	close(over)
	watching.Wait()
	return err
}

// drainInterrupts forgets a Ctrl-C that came when there was nothing to cancel.
func (p *prompt) drainInterrupts() {
	for {
		select {
		case <-p.Interrupts:
		default:
			return
		}
	}
}

// watch ends with over. The third Ctrl-C, and a server that does not react after the end of ctx, cut.
func (p *prompt) watch(ctx, own context.Context, over <-chan struct{}, cut func()) {
	ended := ctx.Done()
	var limit <-chan time.Time
	for times := 0; ; {
		select {
		case <-over:
			return
		case <-limit:
			cut()
			limit = nil
		case <-ended:
			ended, limit = nil, time.After(cancelledWait)
			p.cancel(own)
		case <-p.Interrupts:
			if times++; times > 2 {
				cut()
				continue
			}
			p.cancel(own)
		}
	}
}

// cancel asks the server to cancel what runs. It uses only what never changes in a connection.
func (p *prompt) cancel(ctx context.Context) {
	ctx, done := context.WithTimeout(ctx, cancelTimeout)
	defer done()
	if err := p.conn.CancelRequest(ctx); err != nil {
		fmt.Fprintf(p.Err, "could not send a cancel request: %s\n", safe(err.Error()))
	}
}
