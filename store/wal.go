// The write-ahead log beside the file grows while somebody else holds a read transaction: SQLite can give back nothing that
// was written after it began. A forgotten sqlite3 shell would fill the disk without a word, so it is told, and when it is over.

package store

import (
	"context"
	"fmt"
	"os"
	"time"
)

const (
	// SQLite moves what was written into the file at every 4 MB; a pruning may need more. It is the journal_size_limit of
	// the writer, too: beyond it disk space is given back.
	walLimit = 64 << 20
	walLook  = 10 * time.Second
)

// walWatch is owned by the writer goroutine.
type walWatch struct {
	looked time.Time
	since  time.Time // when growth was told; zero: it is not growing
	most   int64
}

// watchWAL looks now and then how much of the write-ahead log cannot be moved into the file. What it cannot find out it
// tries again: whether the log can be written shows elsewhere.
func (d *DB) watchWAL(ctx context.Context) {
	now := time.Now() // whatever the events' clock is
	if d.app == nil || now.Sub(d.wal.looked) < d.opts.walLook {
		return
	}
	d.wal.looked = now
	size := d.walSize()
	if d.wal.since.IsZero() && size <= d.opts.walLimit {
		return
	}
	d.wal.most = max(d.wal.most, size)
	held, err := d.walHeld(ctx)
	switch {
	case err != nil:
		d.log.Debug("how much of the write-ahead log is held cannot be told", "error", err)
	case held && d.wal.since.IsZero():
		d.wal.since = now
		d.log.Warn("the event log's write-ahead log grows and takes disk space, because another program holds a read transaction on the "+
			"event log: "+
			"end what reads it (an sqlite3 shell, a backup, a query)", "file", d.path+"-wal", "size", megabytes(size))
	case !held && !d.wal.since.IsZero():
		d.log.Info("the event log's write-ahead log is free again: the read transaction that held it has ended",
			"file", d.path+"-wal", "grown_to", megabytes(d.wal.most), "lasted", now.Sub(d.wal.since).Round(time.Second))
		d.wal = walWatch{looked: now}
	}
}

func (d *DB) walSize() int64 {
	info, err := os.Stat(d.path + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}

// walHeld moves what can be moved, and tells whether most of what is too much is left. The file itself does not shrink before
// the next write after that (journal_size_limit), so its size alone tells nothing.
func (d *DB) walHeld(ctx context.Context) (bool, error) {
	var busy, frames, moved, page int64
	if err := d.app.conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &frames, &moved); err != nil {
		return false, err
	}
	if err := d.app.conn.QueryRowContext(ctx, `PRAGMA page_size`).Scan(&page); err != nil {
		return false, err
	}
	return (frames-moved)*page >= d.opts.walLimit/2, nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
