// Several connections that see the same state of the log.

package store

import (
	"context"
	"database/sql"
	"errors"
)

// snapshotTries is how often the connections are begun anew because the proxy wrote between them.
const snapshotTries = 50

// snapshot is one state of the file, for as many readers as it has connections. Every transaction
// that changes the file appends to the log, so the head tells the states apart.
type snapshot struct {
	head  head
	conns []*sql.Conn
}

// snapshot opens up to n connections on one state; on a log that changes all the time it may be one.
func (r *Reader) snapshot(ctx context.Context, n int) (s *snapshot, err error) {
	s = &snapshot{}
	for range n {
		conn, err := r.db.Conn(ctx)
		if err != nil {
			return nil, errors.Join(err, s.close(ctx))
		}
		s.conns = append(s.conns, conn)
	}
	for range snapshotTries {
		same, err := s.begin(ctx)
		if err != nil {
			return nil, errors.Join(err, s.close(ctx))
		}
		if same {
			return s, nil
		}
	}
	rest := &snapshot{conns: s.conns[1:]}
	s.conns = s.conns[:1]
	return s, rest.close(ctx)
}

// begin begins a reading transaction on each connection, and reports whether all see the same.
func (s *snapshot) begin(ctx context.Context) (same bool, err error) {
	same = true
	for i, conn := range s.conns {
		_, _ = conn.ExecContext(ctx, `ROLLBACK`) // the last try; there may be none
		if _, err := conn.ExecContext(ctx, `BEGIN`); err != nil {
			return false, err
		}
		h, err := readHead(ctx, conn)
		if err != nil {
			return false, err
		}
		if i == 0 {
			s.head = h
		}
		same = same && h == s.head
	}
	return same, nil
}

// close ends the transactions.
func (s *snapshot) close(ctx context.Context) error {
	var errs []error
	for _, conn := range s.conns {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}
