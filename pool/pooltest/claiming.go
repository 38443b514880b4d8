// For tests: a server that says it is some version of PostgreSQL, which nobody has at hand.
package pooltest

import (
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Claiming starts a server on 127.0.0.1 that lets in whoever says a password, says that it is that version, and answers nothing
// else. It ends with the test.
func Claiming(tb testing.TB, version string) (port uint16) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				welcome(pgproto3.NewBackend(c, c), version)
			})
		}
	})
	tb.Cleanup(func() { l.Close(); all.Wait() })
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// welcome lets one client in and waits for what it says then, or for its end.
func welcome(b *pgproto3.Backend, version string) {
	first, err := b.ReceiveStartupMessage()
	startup, ok := first.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	b.Send(&pgproto3.AuthenticationCleartextPassword{})
	if b.Flush() != nil || b.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return
	}
	if _, err := b.Receive(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: version})
	b.Send(&pgproto3.ParameterStatus{Name: "session_authorization", Value: startup.Parameters["user"]})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() == nil {
		b.Receive()
	}
}
