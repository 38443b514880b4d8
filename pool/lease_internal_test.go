package pool

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// answering is a connection whose SyncConn asks a walsender in vain before the reader on the socket has ended.
type answering struct {
	left int
	code string
}

func (a *answering) SyncConn(context.Context) error {
	if a.left == 0 {
		return nil
	}
	a.left--
	return fmt.Errorf("SyncConn: Ping failed while syncing conn: %w", &pgconn.PgError{Severity: "ERROR", Code: a.code, Message: "cannot execute SQL commands in WAL sender for physical replication"})
}

// A machine that is busy makes writes look slow; a walsender is handed over all the same. (Seen with a write of the
// password that returned 60 ms after PostgreSQL had answered.)
func TestAWalsenderIsHandedOverAfterASlowWrite(t *testing.T) {
	if err := handOver(t.Context(), &answering{1, "0A000"}, PhysicalReplication); err != nil {
		t.Error(err)
	}
	if err := handOver(t.Context(), &answering{1, "0A000"}, LogicalReplication); err == nil {
		t.Error("an error of a backend that takes SQL went unnoticed")
	}
	if err := handOver(t.Context(), &answering{1, "57P01"}, PhysicalReplication); err == nil {
		t.Error("the walsender's end went unnoticed")
	}
	if err := handOver(t.Context(), &answering{10, "0A000"}, PhysicalReplication); err == nil {
		t.Error("it is asked for ever")
	}
}
