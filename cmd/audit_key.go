// gprxy audit key: with what to check checkpoints.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"gprxy/store"
)

func auditKeyCommand() command {
	return command{
		name:    "audit key",
		summary: "print the public key of the log's checkpoints",
		about: "The key is made by the first `gprxy start` and stands beside the event log, readable by its owner alone. " +
			"Keep its public half, and the checkpoints, where the proxy's machine cannot write.",
		examples: []example{
			{"gprxy audit key > gprxy.pub", "keep it, for gprxy audit verify --key gprxy.pub and other verifiers of signed notes"},
		},
		options: func() options { return &auditKeyOptions{} },
	}
}

type auditKeyOptions struct{ readOptions }

func (o *auditKeyOptions) run(_ context.Context, c *call) error {
	key, err := publicKey(o.path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Out, key)
	return err
}

// publicKey is that of the log at path.
func publicKey(path string) (store.VerifierKey, error) {
	key, err := store.PublicKey(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return key, fmt.Errorf("there is no key at %s; gprxy start makes it, unless CHECKPOINT_INTERVAL is off", store.KeyPath(path))
	case errors.Is(err, fs.ErrPermission):
		return key, fmt.Errorf("%w; its owner can print the public half with gprxy audit key", err)
	}
	return key, err
}

// givenKey is the key that --key names: a file, or the key itself.
func givenKey(text string) (store.VerifierKey, error) {
	if !strings.Contains(text, "+") || fileThere(text) {
		content, err := os.ReadFile(text)
		if err != nil {
			return store.VerifierKey{}, fmt.Errorf("read the key: %w", err)
		}
		text = string(content)
	}
	key, err := store.ParseVerifierKey(text)
	if err != nil {
		return key, fmt.Errorf("read the key: %w", err)
	}
	return key, nil
}

func fileThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
