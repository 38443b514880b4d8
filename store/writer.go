// The writer: one goroutine that commits everything queued in one transaction, and outlives outages.

package store

import (
	"context"
	"fmt"
	"time"
)

// unsure is a batch whose COMMIT failed: the items are still queued, yet after a reopening SQLite may
// find them complete in its write-ahead log. If head is then in the file they are not written twice.
type unsure struct {
	head  head
	items int
}

// push queues what one call handed over. During an outage a waiter gets the outage at once, and its
// events stay queued if there is room.
func (d *DB) push(it item) error {
	if len(it.events) == 0 {
		it.tell(nil)
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return ErrClosed
	}
	outage := d.outage
	if !d.queue.push(it) {
		if d.lossIsNew(len(it.events)) {
			d.log.Error("events are being lost: too many wait to be written", "waiting", d.queue.events)
		}
		if outage != nil {
			return outage
		}
		return &UnavailableError{Path: d.path, Err: errBacklogFull}
	}
	if outage != nil && it.result != nil {
		d.queue.items[len(d.queue.items)-1].tell(outage)
	}
	if it.result == nil {
		signal(d.soon)
	} else {
		signal(d.wake)
	}
	return nil
}

// signal leaves a token in the channel, if there is none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// gather is how long deferred events wait for others: a commit costs more than they do.
const gather = 5 * time.Millisecond

// run is the writer goroutine. It ends after Close, when the queue is empty or Close waits no longer.
func (d *DB) run(ctx context.Context) {
	defer close(d.done)
	defer d.tellWell(true)
	retry := time.NewTicker(d.opts.retryEvery)
	defer retry.Stop()
	for d.await(ctx, retry.C) {
		d.followUp(ctx)
		d.flush(ctx)
		d.watchWAL(ctx)
		d.tellWell(false)
		if d.finished() {
			return
		}
	}
	d.flush(ctx) // the last attempt
}

// await returns true when it is time to write, and false when Close waits no longer.
func (d *DB) await(ctx context.Context, retry <-chan time.Time) bool {
	wake, soon, tick := d.wake, d.soon, (<-chan time.Time)(nil)
	switch {
	case d.Healthy() != nil:
		wake, soon, tick = nil, nil, retry
	case d.before != nil, !d.wal.since.IsZero(), d.troubled():
		tick = retry
	}
	for {
		select {
		case <-soon:
			soon, tick = nil, time.After(gather)
		case <-wake:
			return true
		case <-tick:
			return true
		case j := <-d.jobs:
			j.result <- d.work(ctx, j)
		case <-d.abandon:
			return false
		}
	}
}

func (d *DB) finished() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closing && len(d.queue.items) == 0
}

func (d *DB) work(ctx context.Context, j job) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	return j.do(j.ctx, d.app)
}

// flush writes batch after batch until the queue is empty or the log fails.
func (d *DB) flush(ctx context.Context) {
	for {
		d.mu.Lock()
		batch := d.queue.peek()
		d.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		if err := d.commit(ctx, batch); err != nil {
			d.fail(err)
			return
		}
		d.watchWAL(ctx)
	}
}

// commit writes the batch and settles its items. A returned error means that the log cannot be
// written and that unsettled items are still queued.
func (d *DB) commit(ctx context.Context, batch []item) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	if n, err := d.alreadyDurable(ctx); err != nil || n > 0 {
		d.settle(n, nil)
		return err
	}
	err := d.write(ctx, batch)
	switch {
	case err == nil:
		d.settle(len(batch), nil)
	case blamesEvent(err) && len(batch) > 1:
		return d.commitSingly(ctx, batch)
	case blamesEvent(err):
		d.settle(1, err)
	default:
		return err
	}
	return nil
}

// commitSingly keeps one bad item from failing its neighbours.
func (d *DB) commitSingly(ctx context.Context, batch []item) error {
	for i := range batch {
		if err := d.commit(ctx, batch[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (d *DB) write(ctx context.Context, batch []item) error {
	var events []encoded
	for _, it := range batch {
		events = append(events, it.events...)
	}
	d.noteMine(events)
	began := time.Now()
	h, err := d.app.append(ctx, events)
	if d.opts.afterWrite != nil {
		err = d.opts.afterWrite(err)
	}
	switch {
	case err == nil:
		number(batch, h)
		if d.opts.Committed != nil {
			d.opts.Committed(len(events), time.Since(began))
		}
	case h.seq > 0:
		d.unsure = unsure{head: h, items: len(batch)}
	}
	d.commits++
	return err
}

// number tells the waiters who asked the seq of their last event. h is the head after the batch.
func number(batch []item, h head) {
	for i := len(batch) - 1; i >= 0; i-- {
		if batch[i].last != nil {
			*batch[i].last = h.seq
		}
		for j := range batch[i].events {
			h.seq -= batch[i].events[j].count()
		}
	}
}

// alreadyDurable gives the number of queued items that a failed commit stored after all.
func (d *DB) alreadyDurable(ctx context.Context) (int, error) {
	if d.unsure.items == 0 {
		return 0, nil
	}
	held, err := d.app.holds(ctx, d.unsure.head)
	if err != nil {
		return 0, err
	}
	before := d.unsure
	d.unsure = unsure{}
	if !held {
		return 0, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	number(d.queue.items[:before.items], before.head)
	return before.items, nil
}

// ready makes sure that the connection is open and on the file that stands at the path.
func (d *DB) ready(ctx context.Context) error {
	if d.app != nil && !d.app.inPlace(d.path) {
		return errMoved
	}
	if d.app != nil {
		return nil
	}
	return d.reopen(ctx, 0)
}

// settle takes the first n items from the queue, tells their waiters, and ends an outage.
func (d *DB) settle(n int, err error) {
	if n == 0 {
		return
	}
	var over item
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.outage != nil { // an error about an event came from a log that works
		over = d.outageEnds()
	}
	for i := range d.queue.items[:n] {
		it := &d.queue.items[i]
		if err != nil && it.result == nil {
			d.log.Error("an event was not recorded", "session_id", it.events[0].session, "type", it.events[0].typ, "error", err)
		}
		if err != nil {
			it.tell(fmt.Errorf("record %s: %w", it.events[0].typ, err))
		}
		it.tell(nil)
		for j := range it.events {
			it.events[j].recycle()
		}
	}
	waiting := d.queue.events
	d.queue.drop(n)
	d.trouble.written(waiting - d.queue.events)
	if len(over.events) > 0 {
		d.queue.push(over)
	}
}
