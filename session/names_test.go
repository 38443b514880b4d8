package session_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// The names that end in .gprxy.test are looked up here, by the resolver of this
// process, and lead where a test wants them to. Any other is looked up as ever.

func init() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: askNames}
}

// A lookup is what a name is answered with.
type lookup struct {
	code      byte     // RCODE of RFC 1035: 0, lookupFails or noSuchName
	addresses []string // IPv4
}

const (
	lookupFails = 2
	noSuchName  = 3
)

var names = struct {
	mu    sync.Mutex
	known map[string]lookup
}{known: map[string]lookup{}}

// leads makes a name lead to addresses from now on.
func leads(name string, addresses ...string) { answers(name, lookup{addresses: addresses}) }

func answers(name string, with lookup) {
	names.mu.Lock()
	defer names.mu.Unlock()
	names.known[name] = with
}

// newName returns a name that leads nowhere yet.
func newName(t *testing.T) string {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())) + ".gprxy.test"
	if label, _, _ := strings.Cut(name, "."); len(label) > 63 {
		t.Fatalf("%q is no host name", name)
	}
	answers(name, lookup{code: noSuchName})
	return name
}

// askNames connects to a name server, in the form of DNS over TCP.
func askNames(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() { // ends with the connection, which the resolver closes
		defer far.Close()
		for answerOne(far) == nil {
		}
	}()
	return near, nil
}

func answerOne(conn net.Conn) error {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	asked := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, asked); err != nil {
		return err
	}
	answer := answerTo(asked)
	_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err
}

// answerTo is the answer to a query with one question, as those of the resolver are.
func answerTo(asked []byte) []byte {
	const header, ipv4 = 12, 1
	end := header
	var labels []string
	for asked[end] != 0 {
		size := int(asked[end])
		labels = append(labels, string(asked[end+1:end+1+size]))
		end += 1 + size
	}
	question := asked[header : end+5]
	names.mu.Lock()
	found, known := names.known[strings.ToLower(strings.Join(labels, "."))]
	names.mu.Unlock()
	if !known {
		found.code = noSuchName
	}
	var records []byte
	if kind := binary.BigEndian.Uint16(asked[end+1:]); kind == ipv4 {
		for _, address := range found.addresses {
			records = append(records, 0xc0, header, 0, ipv4, 0, 1, 0, 0, 0, 0, 0, 4)
			records = append(records, net.ParseIP(address).To4()...)
		}
	}
	answer := append([]byte{asked[0], asked[1], 0x81, 0x80 | found.code, 0, 1, 0, byte(len(records) / 16), 0, 0, 0, 0}, question...)
	return append(answer, records...)
}
