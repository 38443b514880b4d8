//go:build !linux

// Elsewhere the server is stopped by Stop alone.
package pooltest

import "syscall"

func dieWithParent(*syscall.SysProcAttr) {}
