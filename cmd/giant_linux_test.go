// One value of any size passes both ways, and gprxy does not grow by it.

package cmd

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

const shortGiant = 64 << 20

// PostgreSQL allows a value one byte less than 1 GiB, and needs some of that for itself.
var giant = flag.Int("giant", shortGiant, "bytes of the largest value that passes gprxy")

func TestAGiantValueNeedsNoMemory(t *testing.T) {
	t.Parallel()
	i := newInstall(t)
	mayGrow := shortGiant / 3 // the race detector has memory of its own
	if *giant > shortGiant {
		i.binary, mayGrow = releaseBinary(t), 8<<20
	}
	if err := i.postgres.Exec(t.Context(), "CREATE UNLOGGED TABLE giants (value text); GRANT ALL ON giants TO gprxy_service"); err != nil {
		t.Fatal(err)
	}
	r := i.start("PROXY_CERT=auto")
	for _, sslmode := range []string{"disable", "require"} {
		t.Run("sslmode "+sslmode, func(t *testing.T) {
			g := &giantClient{t: t, conn: r.rawConn(sslmode)}
			g.takeAndGive(1 << 20) // what a session needs anyway
			before := r.resident("VmRSS")
			r.forgetPeak()
			g.takeAndGive(*giant)
			grown := r.resident("VmHWM") - before
			t.Logf("%d MB each way: resident memory %d kB, at most %d kB more", *giant>>20, before>>10, grown>>10)
			if grown > mayGrow {
				t.Errorf("gprxy grew by %d kB", grown>>10)
			}
		})
	}
}

// releaseBinary is gprxy as people have it.
func releaseBinary(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "gprxy")
	build := exec.Command("go", "build", "-o", name, "gprxy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building gprxy: %v\n%s", err, out)
	}
	return name
}

// rawConn is a session's socket after its login.
func (r *running) rawConn(sslmode string) net.Conn {
	r.t.Helper()
	host, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%s user=alice password=alice-secret dbname=postgres sslmode=disable", host, port))
	if err != nil {
		r.t.Fatal(err)
	}
	if sslmode == "require" {
		config.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	}
	conn, err := pgconn.ConnectConfig(r.t.Context(), &config.Config)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.output())
	}
	hijacked, err := conn.Hijack()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { hijacked.Conn.Close() })
	return hijacked.Conn
}

// resident reads a line of /proc/PID/status, in bytes.
func (r *running) resident(line string) int {
	r.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\n"+line+":")
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		r.t.Fatal(err)
	}
	return kB << 10
}

// forgetPeak makes VmHWM begin anew (Linux, Documentation/filesystems/proc.rst).
func (r *running) forgetPeak() {
	r.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", r.Process.Pid), []byte("5"), 0); err != nil {
		r.t.Fatal(err)
	}
}

// A giantClient keeps nothing of what passes.
type giantClient struct {
	t    *testing.T
	conn net.Conn
}

func (g *giantClient) takeAndGive(size int) {
	g.t.Helper()
	g.conn.SetDeadline(time.Now().Add(5 * time.Minute))
	g.query(fmt.Sprintf("SELECT repeat('x', %d)", size))
	g.await('D', 2+4+size) // a count, a length, the value

	g.query("COPY giants FROM STDIN")
	var giving sync.WaitGroup
	giving.Go(func() { g.give('d', size) }) // all of the row is one message
	g.await('G', 3+2)
	giving.Wait()
	g.send((&pgproto3.CopyDone{}).Encode(nil))
	g.await('Z', 1)

	g.query("COPY giants TO STDOUT")
	g.await('d', size+1)
	g.query("TRUNCATE giants")
	g.await('Z', 1)
}

func (g *giantClient) query(sql string) { g.send((&pgproto3.Query{String: sql}).Encode(nil)) }

func (g *giantClient) send(message []byte, err error) {
	g.t.Helper()
	if err == nil {
		_, err = g.conn.Write(message)
	}
	if err != nil {
		g.t.Errorf("sending: %v", err)
	}
}

// give sends a message with a line of this size and its end.
func (g *giantClient) give(kind byte, size int) {
	g.send(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+size+1)), nil)
	piece := bytes.Repeat([]byte("y"), 1<<16)
	for size > 0 {
		n := min(size, len(piece))
		g.send(piece[:n], nil)
		size -= n
	}
	g.send([]byte("\n"), nil)
}

// await drops messages up to the first of a type, which must have a body of this size, and the rest up to
// ReadyForQuery, unless the backend waits for data.
func (g *giantClient) await(kind byte, size int) {
	g.t.Helper()
	for found := false; ; {
		var head [5]byte
		if _, err := io.ReadFull(g.conn, head[:]); err != nil {
			g.t.Fatalf("waiting for %q: %v", kind, err)
		}
		body := int64(binary.BigEndian.Uint32(head[1:])) - 4
		if head[0] == 'E' {
			text, _ := io.ReadAll(io.LimitReader(g.conn, body))
			g.t.Fatalf("PostgreSQL says %q", text)
		}
		if n, err := io.CopyN(io.Discard, g.conn, body); err != nil {
			g.t.Fatalf("a message of type %q ends after %d bytes: %v", head[0], n, err)
		}
		if head[0] == kind && !found {
			found = true
			if body != int64(size) {
				g.t.Errorf("a message of type %q has %d bytes, want %d", kind, body, size)
			}
		}
		if found && (head[0] == 'Z' || head[0] == 'G') {
			return
		}
	}
}
