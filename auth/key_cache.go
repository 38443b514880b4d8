// The issuer's keys, kept: refreshed in good time, never asked for too often.

package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

const (
	refreshAfter = 10 * time.Minute // keys older than this are fetched anew in the background
	maxKeyAge    = 24 * time.Hour   // keys older than this are not used: a withdrawn key must die some day
	askEvery     = 10 * time.Second // at most, while there are keys: strangers can name unknown keys at will
	retryEvery   = 2 * time.Second  // at most, while there are none
)

var errClosed = errors.New("the verifier is closed")

// keyCache holds one issuer's keys. At most one fetch is in flight; whoever
// needs its result waits for it. The fetch outlives the login that began it,
// because others wait for it too, but neither requestTimeout nor close.
type keyCache struct {
	fetch func(context.Context) (keySet, error)
	now   func() time.Time
	log   *slog.Logger
	wg    sync.WaitGroup // the fetch in flight

	mu        sync.Mutex // guards all below
	keys      keySet
	fetched   time.Time // of keys; zero: never
	version   int       // of keys, counts successful fetches
	attempted time.Time // when the last fetch began
	failure   error     // of the last fetch
	flight    *flight   // nil when none
	closed    bool
}

// flight is one fetch. err may be read once done is closed.
type flight struct {
	done   chan struct{}
	cancel context.CancelFunc
	err    error
}

// get returns keys that may be used, fetching them if there are none.
func (c *keyCache) get(ctx context.Context) (keySet, int, error) {
	c.mu.Lock()
	if c.usable() {
		defer c.mu.Unlock()
		if c.now().Sub(c.fetched) > refreshAfter {
			_, _ = c.begin(askEvery)
		}
		return c.keys, c.version, nil
	}
	f, err := c.begin(retryEvery)
	c.mu.Unlock()
	return c.await(ctx, f, err)
}

// newer returns keys fetched after version, asking the issuer if it may be
// asked again already. The same version coming back means: no news.
func (c *keyCache) newer(ctx context.Context, version int) (keySet, int, error) {
	c.mu.Lock()
	if c.version != version {
		defer c.mu.Unlock()
		return c.keys, c.version, nil
	}
	f, err := c.begin(askEvery)
	if f == nil && err == nil {
		defer c.mu.Unlock()
		return c.keys, c.version, nil
	}
	c.mu.Unlock()
	return c.await(ctx, f, err)
}

// refresh asks the issuer now, however recently it was asked.
func (c *keyCache) refresh(ctx context.Context) error {
	c.mu.Lock()
	f, err := c.begin(0)
	c.mu.Unlock()
	_, _, err = c.await(ctx, f, err)
	return err
}

// usable is called with mu held.
func (c *keyCache) usable() bool {
	return !c.fetched.IsZero() && c.now().Sub(c.fetched) <= maxKeyAge
}

// begin joins the fetch in flight or starts one, unless the last began less
// than pause ago: then it returns that one's failure, if any. Called with mu held.
func (c *keyCache) begin(pause time.Duration) (*flight, error) {
	switch {
	case c.flight != nil:
		return c.flight, nil
	case c.closed:
		return nil, errClosed
	case !c.attempted.IsZero() && c.now().Sub(c.attempted) < pause:
		return nil, c.failure
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*requestTimeout) // of the cache, not of who asked first: close ends it
	f := &flight{done: make(chan struct{}), cancel: cancel}
	c.flight = f
	c.attempted = c.now()
	c.wg.Go(func() {
		defer cancel()
		keys, err := c.fetchSafely(ctx)
		c.land(f, keys, err)
	})
	return f, nil
}

// fetchSafely turns a panic over the issuer's bytes into an error.
func (c *keyCache) fetchSafely(ctx context.Context) (keys keySet, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("reading the issuer's keys panicked", "panic", p, "stack", string(debug.Stack()))
			err = errors.New("reading the issuer's keys panicked")
		}
	}()
	return c.fetch(ctx)
}

func (c *keyCache) land(f *flight, keys keySet, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.done)
	// Logged only at the turn: while the issuer is away this runs every ten seconds.
	switch {
	case err != nil && c.failure == nil && c.usable() && !c.closed:
		c.log.Warn("the issuer's keys cannot be refreshed, going on with those at hand",
			"error", err, "keys_usable_until", c.fetched.Add(maxKeyAge))
	case err == nil && c.failure != nil:
		c.log.Info("the issuer's keys can be fetched again", "keys", len(keys))
	}
	c.flight, c.failure, f.err = nil, err, err
	if err == nil {
		c.keys, c.fetched = keys, c.now()
		c.version++
	}
}

// await waits for a fetch, no longer than ctx.
func (c *keyCache) await(ctx context.Context, f *flight, err error) (keySet, int, error) {
	if err != nil {
		return nil, 0, err
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("wait for the issuer's keys: %w", context.Cause(ctx))
	}
	if f.err != nil {
		return nil, 0, f.err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys, c.version, nil
}

// close ends the fetch in flight and waits for it. Keys at hand stay usable.
func (c *keyCache) close() {
	c.mu.Lock()
	c.closed = true
	if c.flight != nil {
		c.flight.cancel()
	}
	c.mu.Unlock()
	c.wg.Wait()
}

func (c *keyCache) fetchedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fetched
}

var errNoKeys = errors.New("there are no keys to verify tokens with: the issuer has not answered yet, or not for a day")

// atHand tells without waiting why there are no keys; nil if there are. Like a login it sees to it that they are fetched in good
// time, so that a proxy that nobody uses does not lose them.
func (c *keyCache) atHand() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.usable() {
		if c.now().Sub(c.fetched) > refreshAfter {
			_, _ = c.begin(askEvery)
		}
		return nil
	}
	if _, err := c.begin(retryEvery); err != nil {
		return err
	}
	return errNoKeys
}
