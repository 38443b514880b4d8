// Listening on loopback, on both of its families.

package sso

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"syscall"
)

// listenOnLoopback listens on host, which is loopback, and returns the port. For
// localhost that is 127.0.0.1 and ::1: browsers try either first, and another
// program on the one that we left free would get the code.
func listenOnLoopback(ctx context.Context, host, port string) ([]net.Listener, string, error) {
	if host != "localhost" {
		l, err := listenOn(ctx, host, port)
		if err != nil {
			return nil, "", err
		}
		return []net.Listener{l}, portOf(l), nil
	}
	const attempts = 20 // a port that is free on one family may be taken on the other
	for n := 1; ; n++ {
		four, err := listenOn(ctx, "127.0.0.1", port)
		if err != nil {
			return nil, "", err
		}
		six, err := listenOn(ctx, "::1", portOf(four))
		switch {
		case err == nil:
			return []net.Listener{four, six}, portOf(four), nil
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT): // no IPv6 on this machine
			return []net.Listener{four}, portOf(four), nil
		}
		_ = four.Close()
		if port != "0" || n == attempts {
			return nil, "", err
		}
	}
}

func listenOn(ctx context.Context, host, port string) (net.Listener, error) {
	address := net.JoinHostPort(host, port)
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err == nil {
		return l, nil
	}
	why := err
	if e, ok := errors.AsType[*net.OpError](err); ok {
		why = e.Err // without the address, which the text has already
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		why = fmt.Errorf("another program uses the port: %w", syscall.EADDRINUSE)
	}
	return nil, &PortError{Address: address, Err: why}
}

func portOf(l net.Listener) string {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return ""
	}
	return port
}

func silent() *log.Logger { return log.New(io.Discard, "", 0) }
