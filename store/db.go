// The proxy's handle on the log: open, append, defer, close.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gprxy/migrations"
)

// Options are what Open needs besides the path; the zero value is complete.
type Options struct {
	// Log receives the start and end of outages; nil discards them.
	Log *slog.Logger
	// Version is the program's, for its log lines.
	Version string
	// Observe sees every event that is handed over, before it is queued, from any goroutine; nil: nobody looks. What it is given
	// it must neither keep nor change, and it must not wait for anything.
	Observe func([]Event)
	// Committed is told of every transaction that was written, and how long it took; nil: nobody is told.
	Committed func(events int, took time.Duration)

	retryEvery time.Duration         // between attempts during an outage; default retryEvery
	limits     limits                // default backlogLimits
	pragmas    func() []string       // more settings for the writer's connection; tests only
	afterWrite func(err error) error // replaces the outcome of a batch; tests only
	now        func() time.Time      // default time.Now
	walLimit   int64                 // of the write-ahead log, before it is looked at; default walLimit
	walLook    time.Duration         // how often; default walLook
}

// DB is the event log as its one writing proxy holds it. It is safe for concurrent use.
type DB struct {
	path string
	opts Options
	log  *slog.Logger

	jobs    chan job      // work on the file other than appending, done between batches
	wake    chan struct{} // holds one token: the queue or closing changed
	soon    chan struct{} // holds one token: events were deferred
	abandon chan struct{} // closed when Close may wait no longer
	done    chan struct{} // closed when the writer goroutine has ended

	// Owned by the writer goroutine once it runs.
	lock    *fileLock           // nil after Leave
	leaving *fileLock           // nil before Leave
	before  *LockedError        // the proxy that had the log and lets its sessions finish; nil if there is none
	mine    map[string]struct{} // our open sessions, while there is one before us
	found   int64               // the last seq that stood in the log when it was opened
	app     *appender           // nil while it has to be reopened
	unsure  unsure
	wal     walWatch
	commits int

	mu      sync.Mutex // guards the rest
	queue   queue
	outage  *UnavailableError // nil while the log can be written
	closing bool

	outageSince time.Time
	trouble     trouble
}

type job struct {
	ctx    context.Context
	do     func(context.Context, *appender) error
	result chan error // has room for one
}

const (
	retryEvery   = time.Second
	closeTimeout = 10 * time.Second // for a Close whose context has no deadline
)

// Open makes this process the one that writes the log at path. It creates the file (0600) and its
// folder (0700) when missing, brings an older file up to date, and ends the sessions that a crash
// left open. ctx bounds the opening only; Close ends what it started.
//
// Of a proxy that has called Leave the sessions go on; what it has not ended when it is gone is ended then.
//
// Errors: *LockedError if another proxy has the log, *SchemaError if the file is a newer
// program's or no log at all, *UnavailableError if it cannot be written.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	d := newDB(path, o)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, asUnavailable(path, fmt.Errorf("make the folder of the event log: %w", err))
	}
	err := d.reopen(ctx, os.O_CREATE)
	if err == nil {
		var h head
		h, err = d.app.head(ctx)
		d.found = h.seq
	}
	if err == nil && d.before == nil {
		err = d.recover(ctx)
	}
	if err != nil {
		return nil, errors.Join(asUnavailable(path, err), d.release())
	}
	d.log.Debug("the event log is open", "path", path, "version", o.Version)
	go d.run(context.WithoutCancel(ctx)) // Close waits for it on d.done
	return d, nil
}

func newDB(path string, o Options) *DB {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.retryEvery == 0 {
		o.retryEvery = retryEvery
	}
	if o.limits == (limits{}) {
		o.limits = backlogLimits
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.walLimit == 0 {
		o.walLimit = walLimit
	}
	if o.walLook == 0 {
		o.walLook = walLook
	}
	return &DB{
		path:    path,
		opts:    o,
		log:     o.Log,
		jobs:    make(chan job),
		wake:    make(chan struct{}, 1),
		soon:    make(chan struct{}, 1),
		abandon: make(chan struct{}),
		done:    make(chan struct{}),
		queue:   queue{limits: o.limits},
	}
}

// reopen takes the lock and opens the file, as far as they are not held already. Only Open may
// create the file: a log that vanishes under a running proxy is not silently begun anew.
func (d *DB) reopen(ctx context.Context, create int) (err error) {
	if d.lock != nil && !d.lock.inPlace() {
		if err := d.lock.release(); err != nil {
			return fmt.Errorf("release a moved lock: %w", err)
		}
		d.lock = nil
	}
	if d.lock == nil && d.leaving == nil {
		if d.lock, err = takeLock(d.path, ownerSuffix); err != nil {
			return err
		}
		if err := d.lookBack(); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(d.path, os.O_RDWR|create, 0o600) // SQLite would use the umask
	if err != nil {
		return fmt.Errorf("open the event log: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("open the event log: %w", err)
	}
	pragmas := []string{"auto_vacuum(incremental)", "journal_mode(wal)"}
	if d.opts.pragmas != nil {
		pragmas = append(pragmas, d.opts.pragmas()...)
	}
	d.app, err = openAppender(ctx, d.path, func(c *sql.Conn) error {
		if err := d.mayMigrate(ctx, c); err != nil {
			return err
		}
		return migrate(ctx, c, d.path, migrations.Files)
	}, pragmas...)
	return err
}

// Append stores the events, next to each other and in this order, and returns nil only when they
// are durable: committed and synced.
//
// While the log cannot be written it gives an *UnavailableError; the events are then kept as Enqueue
// keeps them. When ctx ends first it returns at once and the events may still be written. Any other
// error is about the events themselves, and they are not in the log.
func (d *DB) Append(ctx context.Context, events ...Event) error {
	d.observe(events)
	enc, err := encodeAll(events, d.opts.now())
	if err != nil {
		return err
	}
	return d.wait(ctx, item{events: enc})
}

// AppendStarted appends that the session is about to run the statements, and gives the seq of the
// last; those of the others are next to it, in their order.
func (d *DB) AppendStarted(ctx context.Context, session string, statements ...Statement) (last int64, err error) {
	it := item{last: new(int64)} // the writer may still set it when ctx has ended
	for _, s := range statements {
		enc, err := encode(Event{Session: session, Fact: StatementStarted{s}}, d.opts.now())
		if err != nil {
			return 0, err
		}
		it.events = append(it.events, enc)
	}
	if err := d.wait(ctx, it); err != nil {
		return 0, err
	}
	return *it.last, nil
}

// wait queues the item and waits until it is durable.
func (d *DB) wait(ctx context.Context, it item) error {
	it.result = make(chan error, 1)
	result := it.result
	if err := d.push(it); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the event log: %w", context.Cause(ctx))
	}
}

// Enqueue hands over events that must not be lost but that nobody waits for. It never blocks. The
// next batch writes them; while the log fails they are kept in memory, in order, up to a limit
// whose passing is logged.
func (d *DB) Enqueue(events ...Event) {
	d.observe(events)
	now := d.opts.now()
	for _, e := range events {
		enc, err := encode(e, now)
		if err == nil {
			err = d.push(item{events: []encoded{enc}})
		}
		if _, lost := errors.AsType[*UnavailableError](err); err != nil && !lost { // what is lost is counted, and told as such
			d.log.Error("an event was not recorded", "session_id", e.Session, "error", err)
		}
	}
}

// WaitForSpace waits while more statements are deferred than the log can write, which is at once unless the
// disk is slow or the log fails. A session that calls it before each Enqueue of statements is held up
// instead of losing them.
func (d *DB) WaitForSpace(ctx context.Context) error {
	d.mu.Lock()
	if !d.queue.full() {
		d.mu.Unlock()
		return nil
	}
	room := d.queue.whenRoom()
	d.mu.Unlock()
	select {
	case <-room:
		return nil
	case <-d.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the event log: %w", context.Cause(ctx))
	}
}

// Healthy gives nil, or the outage that keeps events from being written.
func (d *DB) Healthy() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.outage != nil {
		return d.outage
	}
	return nil
}

func (d *DB) observe(events []Event) {
	if d.opts.Observe != nil {
		d.opts.Observe(events)
	}
}

// Stats is what waits to be written at a moment.
type Stats struct {
	Events         int   // that wait, without statements that nobody waits for
	Bytes          int   // of their payload
	StatementBytes int   // of statements that nobody waits for
	Lost           int   // events that found no room since the last outage began
	Unwritable     error // why the log cannot be written; nil if it can
}

// Stats tells what waits.
func (d *DB) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Stats{Events: d.queue.events, Bytes: d.queue.bytes, StatementBytes: d.queue.statements, Lost: d.queue.lost}
	if d.outage != nil {
		s.Unwritable = d.outage
	}
	return s
}

// Close writes what is queued, waiting at most until ctx ends (10 s if it never does), ends the
// writer and gives up the lock. An error says that events were lost.
func (d *DB) Close(ctx context.Context) error {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, closeTimeout)
		defer cancel()
	}
	d.mu.Lock()
	if d.closing {
		d.mu.Unlock()
		<-d.done
		return nil
	}
	d.closing = true
	d.mu.Unlock()
	signal(d.wake)
	select {
	case <-d.done:
	case <-ctx.Done():
		close(d.abandon)
		<-d.done
	}
	err := d.release()
	if n := d.queue.waiting(); n > 0 {
		err = errors.Join(fmt.Errorf("close the event log: %d events could not be written: %w", n, d.Healthy()), err)
	}
	return err
}

// release closes the file and the lock.
func (d *DB) release() error {
	var errs []error
	if d.app != nil {
		errs = append(errs, d.app.close())
		d.app = nil
	}
	for _, l := range []*fileLock{d.lock, d.leaving} {
		if l != nil {
			errs = append(errs, l.release())
		}
	}
	d.lock, d.leaving = nil, nil
	return errors.Join(errs...)
}

// Rebuild drops the sessions projection and folds it anew from the events: the same rows.
func (d *DB) Rebuild(ctx context.Context) error {
	return d.do(ctx, rebuild)
}

// do lets the writer do something else between batches, and waits for it. ctx is the work's as well.
func (d *DB) do(ctx context.Context, work func(context.Context, *appender) error) error {
	j := job{ctx: ctx, do: work, result: make(chan error, 1)}
	select {
	case d.jobs <- j:
		return <-j.result
	case <-d.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the event log: %w", context.Cause(ctx))
	}
}
