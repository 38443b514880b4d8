// What it costs to lend a backend and to take it back clean.
package pool_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gprxy/pool"
)

// BenchmarkReset lends the one idle backend of an account and takes it back: the stamp, the statement of a session or none,
// the reset. It tells the latency of the reset alone, and the CPU of gprxy and, on Linux, of PostgreSQL for both together.
//
//	go test -run '^$' -bench Reset -benchtime 3s ./pool
func BenchmarkReset(b *testing.B) {
	for _, row := range []struct {
		name string
		sql  string
	}{{"untouched", ""}, {"after a setting", "SET work_mem = '9MB'"}} {
		b.Run(row.name, func(b *testing.B) {
			p, err := pool.New(config(maxConns(1)))
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close(b.Context())
			cycle := func() (pid uint32, reset time.Duration) {
				l, err := p.Acquire(b.Context(), request(setting("gprxy.user", "ann@example.com")))
				if err != nil {
					b.Fatal(err)
				}
				if row.sql != "" {
					run(b, l, row.sql)
				}
				began := time.Now()
				if err := l.Release(b.Context(), false); err != nil {
					b.Fatal(err)
				}
				return l.PID(), time.Since(began)
			}
			pid, _ := cycle()
			own, theirs := ownCPU(b), cpuOf(pid)
			var resets time.Duration
			for b.Loop() {
				_, reset := cycle()
				resets += reset
			}
			perOp := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(b.N) }
			b.ReportMetric(perOp(resets), "us-reset/op")
			b.ReportMetric(perOp(ownCPU(b)-own), "us-cpu-gprxy/op")
			b.ReportMetric(perOp(cpuOf(pid)-theirs), "us-cpu-postgresql/op")
		})
	}
}

// run runs a statement that has no rows.
func run(b *testing.B, l *pool.Lease, sql string) {
	b.Helper()
	message := append([]byte{'Q', 0, 0, 0, byte(5 + len(sql))}, sql+"\x00"...)
	if _, err := l.Conn().Write(message); err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, 0, 1024)
	for !strings.HasSuffix(string(answer), "Z\x00\x00\x00\x05I") {
		n, err := l.Conn().Read(answer[len(answer):cap(answer)])
		if err != nil {
			b.Fatal(err)
		}
		answer = answer[:len(answer)+n]
	}
}

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// cpuOf is 0 where the system does not tell.
func cpuOf(pid uint32) (used time.Duration) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0
	}
	fmt.Sscan(string(text), &used) // nanoseconds
	return used
}
