package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pair gives both ends of a connection.
func pair(t *testing.T, network string) (near, far net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// What a Reader is interrupted in is read when it goes on.
func TestAnInterruptLosesNothing(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		near, far := pair(t, network)
		r := NewReader(near)
		var got []byte
		take := func(chunk []byte) error { got = append(got, chunk...); return nil }
		r.Interrupt()
		if err := r.Run(take); !errors.Is(err, ErrInterrupted) {
			t.Fatalf("%s: %v", network, err)
		}
		sent := bytes.Repeat([]byte("0123456789"), 10_000)
		written := make(chan error, 1)
		go func() {
			_, err := NewWriter(far).Write(sent)
			far.Close()
			written <- err
		}()
		r.Resume()
		if err := r.Run(take); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", network, err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
		if !bytes.Equal(got, sent) {
			t.Errorf("%s: %d bytes of %d", network, len(got), len(sent))
		}
	}
}

func TestAReaderHasAnEnd(t *testing.T) {
	near, _ := pair(t, "tcp")
	err := NewReader(near).RunUntil(time.Now().Add(time.Millisecond), func([]byte) error { return nil })
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// WriteNow writes what the socket takes, and does not wait for the peer to read.
func TestWriteNowDoesNotWait(t *testing.T) {
	near, far := pair(t, "tcp")
	w := NewWriter(near)
	sent := 0
	for {
		n, err := w.WriteNow(make([]byte, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		if sent += n; n < 1<<20 {
			break
		}
	}
	near.Close()
	if n, err := io.Copy(io.Discard, far); err != nil || int(n) != sent {
		t.Errorf("%d bytes came of %d: %v", n, sent, err)
	}
}

func TestWhatWasReadAheadComesFirst(t *testing.T) {
	near, far := pair(t, "tcp")
	if _, err := far.Write([]byte("cd")); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if got, err := io.ReadAll(Prefixed(Raw(near), []byte("ab"))); err != nil || string(got) != "abcd" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestBytesWaitingTakesNothing(t *testing.T) {
	near, far := pair(t, "unix")
	if BytesWaiting(near) {
		t.Error("nothing was sent")
	}
	if _, err := far.Write([]byte("x")); err != nil { // into near's buffer, before it returns
		t.Fatal(err)
	}
	if !BytesWaiting(near) {
		t.Error("a byte was sent")
	}
	var one [1]byte
	if _, err := io.ReadFull(near, one[:]); err != nil || one[0] != 'x' {
		t.Errorf("%q, %v", one, err)
	}
}
