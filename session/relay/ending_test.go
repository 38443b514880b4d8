package relay

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"gprxy/pool/wire"
	"gprxy/session/refusal"
)

var (
	oneQuery  = []byte(frame('Q', "select 1\x00"))
	oneAnswer = []byte(frame('C', "SELECT 1\x00") + frame('Z', "I"))
)

// relaying is a relay with the far ends of both its sockets.
type relaying struct {
	*Relay
	client, backend net.Conn
	ended           chan error
}

func startRelay(t testing.TB) *relaying {
	t.Helper()
	client, near := socketPair(t)
	return relayOver(t, client, near)
}

func relayOver(t testing.TB, client, near net.Conn) *relaying {
	t.Helper()
	far, backend := socketPair(t)
	r := &relaying{Relay: New(near, far, wire.TxIdle), client: client, backend: backend, ended: make(chan error, 1)}
	go func() { r.ended <- r.Run(nil) }()
	return r
}

// ask sends the query and waits until the backend has it.
func (r *relaying) ask(t testing.TB) {
	t.Helper()
	if _, err := r.client.Write(oneQuery); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r.backend, make([]byte, len(oneQuery))); err != nil {
		t.Fatal(err)
	}
}

func (r *relaying) awaitEnd(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the relay did not end")
		return nil
	}
}

// A session that drains ends with the answer that is under way: what a quick client asks next, on reading it, is not run.
func TestADrainLetsNothingBehindTheAnswerThrough(t *testing.T) {
	t.Parallel()
	for range 500 {
		r := startRelay(t)
		r.ask(t)
		r.Drain(refusal.ErrShutdown)
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			io.ReadFull(r.client, make([]byte, len(oneAnswer)))
			r.client.Write(oneQuery)
		}()
		if _, err := r.backend.Write(oneAnswer); err != nil {
			t.Fatal(err)
		}
		<-asked
		if err := r.awaitEnd(t); !errors.Is(err, refusal.ErrShutdown) {
			t.Fatalf("ended with %v", err)
		}
		r.far().Close()
		if late, _ := io.ReadAll(r.backend); len(late) > 0 {
			t.Fatalf("the backend got %q after it was decided to end", late)
		}
		for _, conn := range []net.Conn{r.client, r.near(), r.backend} {
			conn.Close()
		}
	}
}

func (r *relaying) near() net.Conn { return r.Relay.client }
func (r *relaying) far() net.Conn  { return r.Relay.backend }

// An answer that the client does not take is no rest, not even when only its last chunk waits.
func TestAnAnswerThatWaitsForItsReaderIsNotIdle(t *testing.T) {
	t.Parallel()
	client, near := socketPair(t)
	near.(*net.TCPConn).SetWriteBuffer(4096)
	for n := 1; n > 0; { // as much as the sockets hold
		near.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, _ = near.Write(make([]byte, 1<<20))
	}
	near.SetWriteDeadline(time.Time{})
	r := relayOver(t, client, near)
	r.ask(t)
	if _, err := r.backend.Write(oneAnswer); err != nil {
		t.Fatal(err)
	}
	for !r.answerSeen() {
		time.Sleep(time.Millisecond)
	}
	passed, idle := r.Idle()
	if idle {
		t.Error("idle, though the client has no answer yet")
	}
	r.EndIdle(passed, refusal.ErrIdleTimeout)
	if err := r.reason(); err != nil {
		t.Errorf("ended: %v", err)
	}
	client.Close()
	if err := r.awaitEnd(t); !errors.Is(err, refusal.ErrClientGone) {
		t.Errorf("ended with %v", err)
	}
}

func (r *relaying) answerSeen() bool {
	r.conversation.mu.Lock()
	defer r.conversation.mu.Unlock()
	return r.conversation.idle()
}

// Nobody knows what a session in doubt waits for, so it is not idle.
func TestASessionInDoubtIsNotIdle(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	if _, idle := r.Idle(); !idle {
		t.Fatal("a session without doubt that does nothing is not idle")
	}
	if _, err := r.backend.Write(oneAnswer); err != nil { // nobody asked
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r.client, make([]byte, len(oneAnswer))); err != nil {
		t.Fatal(err)
	}
	request := []byte(frame('P', "\x00\x00\x00\x00") + frame('E', "\x00\x00\x00\x00\x00") + frame('H', ""))
	if _, err := r.client.Write(request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r.backend, make([]byte, len(request))); err != nil {
		t.Fatal(err)
	}
	if passed, idle := r.Idle(); idle {
		t.Error("idle with an Execute under way")
	} else if r.EndIdle(passed, refusal.ErrIdleTimeout); r.reason() != nil {
		t.Errorf("ended: %v", r.reason())
	}
	r.End(refusal.ErrShutdown)
	r.awaitEnd(t)
}

// Of several reasons to drain the first counts, and what was to end at once is not put off again.
func TestTheFirstReasonToDrainCounts(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	r.ask(t)
	r.Drain(refusal.ErrTokenExpired)
	r.DrainAfterStatement(refusal.ErrShutdown)
	r.Drain(refusal.ErrMaxSession)
	if _, err := r.backend.Write(oneAnswer); err != nil {
		t.Fatal(err)
	}
	if err := r.awaitEnd(t); !errors.Is(err, refusal.ErrTokenExpired) {
		t.Errorf("ended with %v", err)
	}
}

// Messages of gprxy's own that wait for the end of one of the backend's all come, in order.
func TestEachInjectedMessageComes(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	row := frame('D', "\x00\x01\x00\x00\x00\x011")
	r.ask(t)
	if _, err := io.WriteString(r.backend, row[:4]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r.client, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	first, second := frame('N', "first\x00"), frame('N', "second\x00")
	r.Inject([]byte(first))
	r.Inject([]byte(second))
	if _, err := io.WriteString(r.backend, row[4:]); err != nil {
		t.Fatal(err)
	}
	want := row[4:] + first + second
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r.client, got); err != nil || string(got) != want {
		t.Errorf("got %q, want %q (%v)", got, want, err)
	}
	r.End(refusal.ErrShutdown)
	r.awaitEnd(t)
}
