// What strangers cost gprxy, and the people who use it meanwhile.

package cmd

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const shortFlood = 300

var flood = flag.Int("flood", shortFlood, "how many slow sockets, and twenty times as many wrong cancel keys, TestAFlood sends")

func TestAFlood(t *testing.T) {
	i := newInstall(t)
	if *flood > shortFlood {
		i.binary = releaseBinary(t)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if files.Cur = files.Max; uint64(*flood)+1000 > files.Cur {
		t.Fatalf("%d sockets need more than the %d descriptors allowed", *flood, files.Cur)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	t.Run("slow sockets that all find a place", func(t *testing.T) {
		most := strconv.Itoa(2 * *flood)
		slowSockets(t, i, "LOGIN_MAX="+most, "LOGIN_MAX_PER_ADDRESS="+most)
	})
	t.Run("slow sockets and the defaults", func(t *testing.T) { slowSockets(t, i) })
	t.Run("messages that announce 4 GB", func(t *testing.T) { greedyMessages(t, i) })
	t.Run("wrong cancel keys", func(t *testing.T) { wrongKeys(t, i) })
}

// slowSockets measures logins beside strangers who say a little each second.
func slowSockets(t *testing.T, i *install, more ...string) {
	r := i.start(more...)
	defer r.kill()
	r.login(t) // what a login needs anyway
	before := r.resident("VmRSS")
	ctx, stop := context.WithCancel(t.Context())
	var strangers sync.WaitGroup
	defer strangers.Wait()
	defer stop()
	var there atomic.Int64
	for range *flood {
		strangers.Go(func() { dripper(ctx, r.addr, &there) })
	}
	waitFor(t, "the strangers are there", func() bool { return there.Load() == int64(*flood) })
	took := make([]time.Duration, 50)
	for n := range took {
		took[n] = r.login(t)
	}
	slices.Sort(took)
	t.Logf("%d slow sockets: a login takes %v, at most %v; resident memory %.1f KiB more for each",
		*flood, took[len(took)/2].Round(time.Millisecond/10), took[len(took)-1].Round(time.Millisecond/10),
		float64(r.resident("VmRSS")-before)/1024/float64(*flood))
	if took[len(took)-1] > 5*time.Second {
		t.Error("people are locked out")
	}
}

// login gives the time from dialling to the first ReadyForQuery.
func (r *running) login(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	conn, err := r.connect(t.Context(), "alice", "alice-secret")
	if err != nil {
		t.Fatalf("%v\n%s", err, r.output())
	}
	took := time.Since(began)
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return took
}

// dripper sends a startup packet a byte a second, from the beginning whenever it loses its place.
func dripper(ctx context.Context, addr string, there *atomic.Int64) {
	var d net.Dialer
	for first := true; ctx.Err() == nil; {
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			continue // the kernel's queue is full; ctx ends this
		}
		packet := append([]byte{0, 0, 0x20, 0, 0, 3, 0, 0}, strings.Repeat("x", 100)...)
		if _, err := conn.Write(packet[:9]); err == nil && first {
			there.Add(1)
			first = false
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		tick := time.NewTicker(time.Second)
		for _, b := range packet[9:] {
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
			if _, err := conn.Write([]byte{b}); err != nil {
				break
			}
		}
		tick.Stop()
		stop()
		conn.Close()
	}
}

// greedyMessages: a password message that announces 4 GB, from many at once.
func greedyMessages(t *testing.T, i *install) {
	r := i.start("LOGIN_MAX_PER_ADDRESS=1000")
	defer r.kill()
	r.login(t)
	r.forgetPeak()
	before := r.resident("VmRSS")
	const attackers = 200
	body := "\x00\x03\x00\x00user\x00alice\x00database\x00postgres\x00\x00"
	startup := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))
	startup = append(startup, body...)
	var conns []net.Conn
	for range attackers {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := conn.Write(startup); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 9)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	quiet := r.resident("VmRSS")
	for _, conn := range conns {
		if _, err := conn.Write([]byte("p\xff\xff\xff\xfe")); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "C08P01") {
			t.Fatalf("answered %q, %v", answer, err)
		}
	}
	t.Logf("%d messages of 5 bytes that announce 4 GB: resident memory %d kB more than while they were silent, %d kB more than before "+
		"they came",
		attackers, (r.resident("VmHWM")-quiet)>>10, (r.resident("VmHWM")-before)>>10)
	if grown := r.resident("VmHWM") - quiet; grown > 32<<20 { // with the race detector, and all of them being heard out
		t.Errorf("gprxy grew by %d kB", grown>>10)
	}
}

// wrongKeys measures people's cancels beside a flood of guessed keys, and the same beside the same
// flood at PostgreSQL's own door, which is what the machine does to both.
func wrongKeys(t *testing.T, i *install) {
	r := i.start()
	defer r.kill()
	keys := 20 * *flood
	cpu := r.cpu()
	ours := cancelsBeside(t, r.addr, i.postgres.SuperuserDSN(), keys, func() (*pgx.Conn,
		error) {
		return r.connect(t.Context(), "alice", "alice-secret")
	})
	cpu = r.cpu() - cpu
	theirs := cancelsBeside(t, i.postgres.Addr(), i.postgres.SuperuserDSN(), keys, func() (*pgx.Conn, error) {
		return pgx.Connect(t.Context(), i.postgres.DSN("alice", "alice-secret", "postgres"))
	})
	t.Logf("%d wrong keys: %v of gprxy's CPU for each", keys, (cpu / time.Duration(keys)).Round(time.Microsecond))
	t.Logf("from cancel to 57014 meanwhile: gprxy   %v", ours)
	t.Logf("                                direct  %v", theirs)
	if ours.most > 10*time.Second {
		t.Error("people cannot cancel")
	}
}

// times is how long something took.
type times struct {
	n                 int
	median, p99, most time.Duration
}

func (t times) String() string {
	return "median " + t.median.String() + ", p99 " + t.p99.String() + ", slowest " + t.most.String() + " of " + strconv.Itoa(t.n)
}

func summed(took []time.Duration) times {
	slices.Sort(took)
	round := func(at int) time.Duration { return took[at].Round(time.Millisecond / 10) }
	return times{len(took), round(len(took) / 2), round(len(took) * 99 / 100), round(len(took) - 1)}
}

// cancelsBeside cancels statements for as long as the flood of keys lasts.
func cancelsBeside(t *testing.T, addr, watcher string, keys int, connect func() (*pgx.Conn, error)) times {
	t.Helper()
	conn, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	watch, err := pgx.Connect(t.Context(), watcher)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close(t.Context())
	var guessing sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(keys))
	for range 8 {
		guessing.Go(func() {
			for left.Add(-1) >= 0 {
				guessKey(addr)
			}
		})
	}
	var took []time.Duration
	for left.Load() > 0 || len(took) == 0 {
		took = append(took, cancelOne(t, conn, watch))
	}
	guessing.Wait()
	return summed(took)
}

// cancelOne gives the time from the cancel request to the error it brings about. watch is a
// connection to PostgreSQL.
func cancelOne(t *testing.T, conn, watch *pgx.Conn) time.Duration {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "select pg_sleep(60)")
		ended <- err
	}()
	waitFor(t, "the statement runs", func() (sleeps bool) {
		err := watch.QueryRow(t.Context(), "select coalesce(wait_event, '') = 'PgSleep' from pg_stat_activity where pid = $1",
			conn.PgConn().PID()).Scan(&sleeps)
		return err == nil && sleeps
	})
	began := time.Now()
	if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatalf("a good cancel request: %v", err)
	}
	err := <-ended
	took := time.Since(began)
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "57014" {
		t.Fatalf("the statement ended with %v", err)
	}
	return took
}

// guessKey sends a cancel request with a key that is nobody's, and waits for the end as libpq does.
func guessKey(addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	packet := []byte{0, 0, 0, 16, 4, 0xd2, 0x16, 0x2e}
	packet = binary.BigEndian.AppendUint32(packet, rand.Uint32N(1<<15))
	packet = binary.BigEndian.AppendUint32(packet, rand.Uint32())
	if _, err := conn.Write(packet); err == nil {
		io.Copy(io.Discard, conn)
	}
}

// cpu is the processor time that gprxy has used.
func (r *running) cpu() time.Duration {
	r.t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(r.Process.Pid) + "/stat")
	if err != nil {
		r.t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int
	for _, at := range []int{11, 12} { // utime, stime
		n, err := strconv.Atoi(fields[at])
		if err != nil {
			r.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
