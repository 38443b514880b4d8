//go:build !linux

package cmd

import "context"

// There is no systemd but on Linux.

func (p *proxy) tellReady()                   {}
func (p *proxy) tellStopping()                {}
func (p *proxy) tellReloading()               {}
func (p *proxy) keepWatchdog(context.Context) {}
