// A shelf holds so much and no more, and makes room of what is over.

package authtest

import (
	"strconv"
	"testing"
	"time"
)

func TestShelfIsBounded(t *testing.T) {
	var s shelf[int]
	now := time.Unix(1e9, 0)
	for n := range maxShelf {
		if !s.put(strconv.Itoa(n), n, now, now.Add(time.Minute)) {
			t.Fatalf("no room for the %dth", n)
		}
	}
	if s.put("one more", 0, now, now.Add(time.Minute)) {
		t.Error("it holds more than it may")
	}
	if n, ok := s.get("7", now.Add(59*time.Second)); !ok || n != 7 {
		t.Errorf("got %d, %t", n, ok)
	}
	later := now.Add(time.Minute)
	if _, ok := s.get("7", later); ok {
		t.Error("what is over is still there")
	}
	if !s.put("one more", 0, later, later.Add(time.Minute)) || len(s.items) != 1 {
		t.Errorf("what is over takes room: %d things", len(s.items))
	}
}
