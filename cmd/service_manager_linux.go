// What systemd is told: that gprxy listens, reloads, stops, and still works.

package cmd

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// tellManager tells systemd a state, if it started gprxy and wants to hear (Type=notify, notify-reload).
func (p *proxy) tellManager(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		p.log.Warn("could not tell systemd about a change", "error", err)
	}
}

func (p *proxy) tellReady() {
	p.tellManager(daemon.SdNotifyReady + "\nSTATUS=listening on " + p.addresses())
}

func (p *proxy) tellStopping() {
	p.tellManager(daemon.SdNotifyStopping + "\nSTATUS=running queries may finish")
}

// tellReloading comes before a tellReady. systemd compares the time with that of its own signal.
func (p *proxy) tellReloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		p.log.Warn("could not read the monotonic clock", "error", err)
		return
	}
	p.tellManager(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// keepWatchdog tells systemd twice in WatchdogSec that gprxy works, until ctx ends. It asks those whose locks every session needs,
// so that a gprxy in which one is held for ever is restarted.
func (p *proxy) keepWatchdog(ctx context.Context) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		p.log.Warn("systemd's watchdog cannot be answered", "error", err)
	}
	if limit <= 0 {
		return
	}
	beat := time.NewTicker(limit / 2)
	defer beat.Stop()
	for {
		p.events.Stats()
		p.pools.Stats()
		p.server.Open()
		p.tellManager(daemon.SdNotifyWatchdog)
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
	}
}
