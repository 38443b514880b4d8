package admission

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// An origin that wants many turns does not hold up one that wants one.
func TestTurnsRotate(t *testing.T) {
	turns := NewFairQueue(2)
	ctx, stop := context.WithCancel(t.Context())
	order := make(chan string, 20)
	wait := func(origin string) {
		t.Helper()
		waiting := turns.Waiting()
		go func() {
			if _, err := turns.Acquire(ctx, from(origin)); err == nil {
				order <- origin
			}
		}()
		for turns.Waiting() == waiting {
			time.Sleep(time.Millisecond)
		}
	}
	const many, one, two = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	for range 2 {
		if _, err := turns.Acquire(ctx, from(many)); err != nil {
			t.Fatal(err)
		}
	}
	for _, origin := range []string{many, many, many, one, two, many} {
		wait(origin)
	}
	for _, want := range []string{many, one, two, many} {
		turns.release()
		if got := <-order; got != want {
			t.Errorf("the turn is %s's, want %s's", got, want)
		}
	}
	stop()
	for turns.Waiting() > 0 {
		time.Sleep(time.Millisecond)
	}
	for range 2 {
		turns.release()
	}
	if turns.free != 2 || len(turns.lines) != 0 || turns.next.Len() != 0 {
		t.Errorf("%d turns are free, %d lines remain", turns.free, len(turns.lines))
	}
}

// No turn is lost or doubled when waiters give up at the moment theirs comes.
func TestTurnsAreNotLost(t *testing.T) {
	turns := NewFairQueue(3)
	cause := errors.New("gave up")
	ended := make(chan struct{})
	const takers = 200
	for i := range takers {
		go func() {
			defer func() { ended <- struct{}{} }()
			ctx, stop := context.WithCancelCause(context.Background())
			time.AfterFunc(time.Duration(i%7)*100*time.Microsecond, func() { stop(cause) })
			done, err := turns.Acquire(ctx, from(fmt.Sprintf("192.0.2.%d", i%5)))
			if err != nil {
				if !errors.Is(err, cause) {
					t.Errorf("error %v", err)
				}
				return
			}
			time.Sleep(100 * time.Microsecond)
			done()
		}()
	}
	for range takers {
		<-ended
	}
	if turns.free != 3 || len(turns.lines) != 0 || turns.next.Len() != 0 {
		t.Errorf("%d turns are free, %d lines remain", turns.free, len(turns.lines))
	}
}
