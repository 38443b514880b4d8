// Outages: the log cannot be written for a while, again and again when a disk is full and not full in turns. The proxy's own
// log says when that begins and when it is really over, and not each time in between.

package store

import (
	"errors"
	"slices"
	"time"
)

// wellAfter is how long the log has to have been written without fail before its trouble is over.
const wellAfter = time.Minute

// trouble is a row of outages with less than wellAfter between them. DB's mu guards it.
type trouble struct {
	began    time.Time // zero: there is none
	ended    time.Time // the last outage so far that is over
	failed   int       // outages
	kept     int       // events that waited and were not lost
	waiting  int       // of these, what is still queued
	lost     int
	remedies []string // that were told
}

// fail begins or continues an outage: the connection is given up, since only a new one recovers
// from every kind of failure; every waiter is told; the events stay queued.
func (d *DB) fail(err error) {
	if d.app != nil {
		err = errors.Join(err, d.app.close())
		d.app = nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	outage := &UnavailableError{Path: d.path, Err: err}
	if d.outage == nil {
		d.outageBegins(outage)
	}
	d.outage = outage
	for i := range d.queue.items {
		d.queue.items[i].tell(outage)
	}
}

// outageBegins tells the first outage of a trouble, and those of another kind: there is a remedy for each kind, so they
// are few.
func (d *DB) outageBegins(outage *UnavailableError) {
	d.outageSince = d.opts.now()
	t := &d.trouble
	t.failed++
	if t.began.IsZero() {
		t.began = d.outageSince
	}
	do := remedy(d.path, outage.Err)
	if slices.Contains(t.remedies, do) {
		return
	}
	t.remedies = append(t.remedies, do)
	d.log.Error("the event log cannot be written: new logins are refused, running sessions go on", "error", outage.Err, "do", do, "path",
		d.path)
}

// outageEnds gives the event that tells of the outage. The log is told by tellWell.
func (d *DB) outageEnds() item {
	gap := d.afterOutage()
	t := &d.trouble
	t.ended = d.opts.now()
	t.kept += d.queue.events - t.waiting
	t.waiting = d.queue.events
	t.lost += d.queue.lost
	d.outage, d.queue.lost = nil, 0
	return gap
}

// written counts events that left the queue.
func (t *trouble) written(events int) { t.waiting = max(0, t.waiting-events) }

// lossIsNew reports whether no loss was told in this trouble.
func (d *DB) lossIsNew(events int) bool { return d.trouble.lost == 0 && d.queue.lost == events }

// troubled reports whether there is something left to tell.
func (d *DB) troubled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.trouble.began.IsZero()
}

// tellWell says that a trouble is over, if that is so. At the last call before the writer ends it cannot wait for that
// to be sure.
func (d *DB) tellWell(last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.trouble
	if t.began.IsZero() || d.outage != nil {
		return
	}
	well := d.opts.now().Sub(t.ended)
	if well < wellAfter && !last {
		return
	}
	d.log.Info("the event log can be written again", "well_for", well.Round(time.Second), "failed_times", t.failed,
		"lasted", t.ended.Sub(t.began).Round(time.Second), "kept_events", t.kept, "lost_events", t.lost)
	d.trouble = trouble{}
}
