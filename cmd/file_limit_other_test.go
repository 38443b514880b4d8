//go:build !linux

package cmd

import "testing"

func (i *install) testFileSizeLimit(t *testing.T) {
	t.Skip("a running process can be limited on Linux only")
}
