// A server that does not keep to the protocol: PostgreSQL, with somebody in between who changes what it says.
package pool_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"gprxy/pool"
)

// tamper changes the messages of a server from when it is armed. change gets each of them, whole, with its number among those
// of its type since then, from 1, and returns what is sent in its place.
type tamper struct {
	armed  atomic.Bool
	change func(frame []byte, number int) []byte

	mu   sync.Mutex
	sent bytes.Buffer // guarded by mu: what the pools said to the server
}

func (tm *tamper) Write(p []byte) (int, error) {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return tm.sent.Write(p)
}

func (tm *tamper) heard() string {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return tm.sent.String()
}

// tampered returns pools whose PostgreSQL is changed by t.
func tampered(t *testing.T, tm *tamper) *pool.Pools {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server.Addr())
			if err != nil {
				t.Error(err)
				client.Close()
				return
			}
			all.Go(func() { io.Copy(io.MultiWriter(upstream, tm), client); upstream.Close() })
			all.Go(func() { tm.pass(client, upstream); client.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return newPools(t, config(maxConns(1), func(c *pool.Config) { c.Port = portOf(l) }))
}

func portOf(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

// pass passes on what the server says, message by message.
func (tm *tamper) pass(client io.Writer, server io.Reader) {
	numbers := map[byte]int{}
	for {
		frame := make([]byte, 5)
		if _, err := io.ReadFull(server, frame); err != nil {
			return
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame[1:])-4)...)
		if _, err := io.ReadFull(server, frame[5:]); err != nil {
			return
		}
		if tm.armed.Load() {
			numbers[frame[0]]++
			frame = tm.change(frame, numbers[frame[0]])
		}
		if _, err := client.Write(frame); err != nil {
			return
		}
	}
}

// frame is a message of the server's.
func frame(kind byte, body string) []byte {
	f := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
	return append(f, body...)
}

// columns are the values of a DataRow, none of which is NULL.
func columns(row []byte) (values []string) {
	rest := row[7:]
	for len(rest) > 0 {
		n := binary.BigEndian.Uint32(rest)
		values = append(values, string(rest[4:4+n]))
		rest = rest[4+n:]
	}
	return values
}

func dataRow(values ...string) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(len(values)))
	for _, v := range values {
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(v))), v...)
	}
	return frame('D', string(body))
}
