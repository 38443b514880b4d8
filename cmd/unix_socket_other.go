//go:build !unix

package cmd

import (
	"context"
	"errors"
	"net"
	"os"
)

func listenUnix(context.Context, string, os.FileMode) (net.Listener, error) {
	return nil, errors.New("gprxy serves Unix sockets on Unix systems only: set PROXY_HOST to an address")
}
