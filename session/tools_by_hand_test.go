// What pg_dump, pg_basebackup and pg_receivewal do, by hand: they refuse a server that is newer than they are, and where the
// server is of a release without client programs, the machine's may be older.
package session_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// serverMajor is the major version of the PostgreSQL that the tests share.
func serverMajor(t *testing.T) int {
	t.Helper()
	major, err := strconv.Atoi(admin(t, "select current_setting('server_version_num')::int / 10000"))
	if err != nil {
		t.Fatal(err)
	}
	return major
}

// programMajor is the major version of a program that says "name (PostgreSQL) 15.18".
func programMajor(t *testing.T, name string) int {
	t.Helper()
	said := output(t, exec.Command(postgres.Tool(t, name), "--version"))
	_, version, _ := strings.Cut(said, "(PostgreSQL) ")
	digits := strings.IndexFunc(version, func(c rune) bool { return c < '0' || c > '9' })
	major, err := strconv.Atoi(version[:max(digits, 0)])
	if err != nil {
		t.Fatalf("%s calls itself %q", name, said)
	}
	return major
}

// refusesTheServer tells, and says, that a program is too old for the server, so that the test does by hand what it would do.
func refusesTheServer(t *testing.T, name string) bool {
	t.Helper()
	server, program := serverMajor(t), programMajor(t, name)
	if program < server {
		t.Logf("%s %d refuses PostgreSQL %d: what it would do is done by hand", name, program, server)
	}
	return program < server
}

// dumpInParallel is what pg_dump -j does: one session that shares its snapshot, and as many more that copy from it. It returns
// what the first copied, and what all others did, sorted.
func dumpInParallel(t *testing.T, p *proxy, table string, jobs int) (whole, parts []string) {
	t.Helper()
	dsn := p.dsn("bob", token("bob@example.com", "writer"))
	leader := connect(t, dsn)
	run(t, leader, "begin isolation level repeatable read, read only, deferrable")
	snapshot := ask[string](t, leader, "select pg_export_snapshot()")
	copied := make([][]string, jobs)
	var all sync.WaitGroup
	for i := range jobs {
		worker := connect(t, dsn) // all of them hold a backend at the same time
		run(t, worker, "begin isolation level repeatable read, read only; set transaction snapshot '"+snapshot+"'")
		all.Go(func() {
			copied[i] = copyOut(t, worker, fmt.Sprintf("(select * from %s where id %% %d = %d)", table, jobs, i))
			worker.Close(t.Context())
		})
	}
	all.Wait()
	whole, parts = copyOut(t, leader, table), slices.Concat(copied...)
	leader.Close(t.Context())
	slices.Sort(whole)
	slices.Sort(parts)
	return whole, parts
}

// copyOut returns the lines of a table or query.
func copyOut(t *testing.T, conn *pgx.Conn, what string) []string {
	var out bytes.Buffer
	if _, err := conn.PgConn().CopyTo(t.Context(), &out, "copy "+what+" to stdout"); err != nil {
		t.Errorf("copy %s: %v", what, err)
	}
	return slices.Collect(strings.Lines(out.String()))
}

// replicationSession logs in for physical replication and returns where the server's WAL is, and its timeline.
func replicationSession(t *testing.T, p *proxy, parameters ...string) (conn net.Conn, at, timeline string) {
	t.Helper()
	conn = dial(t, p.addr)
	conn.SetDeadline(time.Now().Add(time.Minute)) // as tool's
	login(t, conn, "bob", token("bob@example.com", "replica"), append(parameters, "replication", "true")...)
	send(t, conn, query("IDENTIFY_SYSTEM"))
	answer := receiveUntil(t, conn, 'Z')
	for _, m := range answer {
		if m.kind == 'D' {
			if row := columns(m.body); len(row) == 4 {
				return conn, row[2], row[1]
			}
		}
	}
	t.Fatalf("IDENTIFY_SYSTEM: %v", answer)
	return nil, "", ""
}

// columns are the values of a DataRow; NULL is "".
func columns(row string) (values []string) {
	for rest := row[2:]; len(rest) >= 4; {
		n := max(int(int32(binary.BigEndian.Uint32([]byte(rest)))), 0)
		values, rest = append(values, rest[4:4+n]), rest[4+n:]
	}
	return values
}

// backUp is what pg_basebackup -X stream and pg_verifybackup do: the files by one session and the WAL meanwhile by another,
// every file as its sum in the manifest says. It speaks BASE_BACKUP as PostgreSQL does from 15 on.
func backUp(t *testing.T, p *proxy) {
	t.Helper()
	wal, at, timeline := replicationSession(t, p)
	send(t, wal, query("START_REPLICATION "+at+" TIMELINE "+timeline))
	receiveUntil(t, wal, 'W')
	files, _, _ := replicationSession(t, p)
	send(t, files, query("BASE_BACKUP (LABEL 'by hand', CHECKPOINT 'fast', MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256')"))
	archive, manifest, end := readBackup(t, files)
	checkBackup(t, archive, manifest)
	for reached := uint64(0); reached < end; {
		if m := receive(t, wal); m.kind == 'd' && m.body[0] == 'w' {
			reached = binary.BigEndian.Uint64([]byte(m.body[1:])) + uint64(len(m.body)-walHeader)
		}
	}
	send(t, wal, message('c', ""))
	receiveUntil(t, wal, 'Z')
	for _, conn := range []net.Conn{files, wal} {
		send(t, conn, message('X', ""))
		readAll(t, conn)
	}
}

// walHeader is in front of the bytes of an XLogData message: its kind, where they start, where the server's WAL ends, and a clock.
const walHeader = 1 + 8 + 8 + 8

// readBackup reads the answer to BASE_BACKUP: one archive, its manifest, and where the WAL that belongs to it ends.
func readBackup(t *testing.T, conn net.Conn) (archive, manifest []byte, end uint64) {
	t.Helper()
	content := &archive
	for {
		switch m := receive(t, conn); m.kind {
		case 'E':
			t.Fatalf("BASE_BACKUP: %v", m)
		case 'D': // the last row of all is where it ends
			if position := columns(m.body)[0]; strings.Contains(position, "/") {
				end = parsePosition(t, position)
			}
		case 'd':
			switch m.body[0] {
			case 'm':
				content = &manifest
			case 'd':
				*content = append(*content, m.body[1:]...)
			}
		case 'Z':
			return archive, manifest, end
		}
	}
}

// parsePosition reads a position of the WAL: two numbers in hexadecimal.
func parsePosition(t *testing.T, text string) uint64 {
	t.Helper()
	var high, low uint32
	if _, err := fmt.Sscanf(text, "%X/%X", &high, &low); err != nil {
		t.Fatalf("the position %q: %v", text, err)
	}
	return uint64(high)<<32 | uint64(low)
}

// checkBackup holds an archive against its manifest.
func checkBackup(t *testing.T, archive, manifest []byte) {
	t.Helper()
	sums := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		sum := sha256.New()
		if err == nil {
			_, err = io.Copy(sum, r)
		}
		if err != nil {
			t.Fatalf("the archive of %d bytes: %v", len(archive), err)
		}
		sums[strings.TrimPrefix(header.Name, "./")] = hex.EncodeToString(sum.Sum(nil))
	}
	var list struct {
		Files []struct {
			Path, Checksum string
		}
	}
	if err := json.Unmarshal(manifest, &list); err != nil || len(list.Files) < 500 {
		t.Fatalf("a manifest of %d files: %v", len(list.Files), err)
	}
	for _, f := range list.Files {
		if sums[f.Path] != f.Checksum {
			t.Errorf("%s has the sum %q, in the manifest %q", f.Path, sums[f.Path], f.Checksum)
		}
	}
}

// A walReceiver receives WAL into a folder and says how far it has it, as pg_receivewal --synchronous does. It ends with what
// the server said.
type walReceiver func() (said string, err error)

// receiveWAL starts pg_receivewal, or what does the same.
func receiveWAL(t *testing.T, p *proxy, dir string) walReceiver {
	t.Helper()
	if refusesTheServer(t, "pg_receivewal") {
		return receiveWALByHand(t, p, dir)
	}
	receiver := tool(t, p, "replica", "pg_receivewal", "-D", dir, "--no-loop", "--synchronous", "-s", "1")
	var said bytes.Buffer
	receiver.Stdout, receiver.Stderr = &said, &said
	if err := receiver.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (string, error) {
		err := receiver.Wait()
		return said.String(), err
	}
}

func receiveWALByHand(t *testing.T, p *proxy, dir string) walReceiver {
	t.Helper()
	conn, at, timeline := replicationSession(t, p, "application_name", "pg_receivewal")
	file, err := os.Create(filepath.Join(dir, "wal"))
	if err != nil {
		t.Fatal(err)
	}
	send(t, conn, query("START_REPLICATION "+at+" TIMELINE "+timeline))
	ended := make(chan error, 1)
	go func() {
		defer file.Close()
		ended <- storeWAL(pgproto3.NewFrontend(conn, conn), file)
	}()
	return func() (string, error) {
		select {
		case err := <-ended:
			return err.Error(), err
		case <-t.Context().Done():
			return "", context.Cause(t.Context())
		}
	}
}

// storeWAL writes what comes, says how far it has it, and returns why the stream ended.
func storeWAL(server *pgproto3.Frontend, file io.Writer) error {
	for {
		m, err := server.Receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			return errors.New(m.Message)
		case *pgproto3.CopyData:
			if m.Data[0] != 'w' {
				continue // it asks whether the client lives, which may answer later
			}
			if _, err := file.Write(m.Data[walHeader:]); err != nil {
				return err
			}
			flushed := binary.BigEndian.Uint64(m.Data[1:]) + uint64(len(m.Data)-walHeader)
			status := []byte{'r'}
			for range 3 { // written, flushed, applied
				status = binary.BigEndian.AppendUint64(status, flushed)
			}
			server.Send(&pgproto3.CopyData{Data: append(status, make([]byte, 8+1)...)}) // no clock, and no wish for an answer
			if err := server.Flush(); err != nil {
				return err
			}
		}
	}
}
