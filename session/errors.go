package session

import (
	"errors"
	"fmt"
	"io"
	"os"

	"gprxy/session/refusal"
)

// faultError is a panic of gprxy's own.
type faultError struct {
	fault any
	stack []byte
}

func (e *faultError) Error() string { return fmt.Sprintf("a fault in gprxy: %v\n%s", e.fault, e.stack) }

// clientLeft tells a client that went away from one that took too long.
func clientLeft(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refusal.ErrLoginTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errClientGone
	default:
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
}
