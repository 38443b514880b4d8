//go:build !linux

// Elsewhere a child is stopped by stop alone.
package main

import "syscall"

func dieWithParent(*syscall.SysProcAttr) {}
