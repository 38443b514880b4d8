// CHECKPOINT_FILE and CHECKPOINT_INTERVAL: the signed head of the log, so that it can be kept where this machine cannot
// write.

package cmd

import (
	"context"
	"encoding/hex"
	"time"

	"gprxy/store"
)

// stopTimeout bounds what is recorded at the very end.
const stopTimeout = 5 * time.Second

// openKey gets the key of the checkpoints, which the first start makes.
func (p *proxy) openKey() error {
	if p.settings.Audit.CheckpointInterval == 0 {
		return nil
	}
	key, made, err := store.EnsureKey(p.settings.EventLog)
	if err != nil {
		return err
	}
	p.signer = key
	if made {
		p.log.Info("made the key that signs checkpoints of the event log: keep its public half elsewhere",
			"public_key", key.String(), "file", store.KeyPath(p.settings.EventLog))
	}
	return nil
}

// keepCheckpoints makes one at the start and then every CHECKPOINT_INTERVAL, until ctx ends: that they
// go on coming shows that the log is alive.
func (p *proxy) keepCheckpoints(ctx context.Context) {
	if p.signer == nil {
		return
	}
	tick := time.NewTicker(p.settings.Audit.CheckpointInterval)
	defer tick.Stop()
	for {
		p.tryCheckpoint(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// recordStop records the end, and covers it with a last checkpoint. If the log cannot be written now,
// close tries again.
func (p *proxy) recordStop(ctx context.Context, reason string) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer done()
	err := p.events.Append(ctx, store.Event{Time: time.Now(), Fact: store.ProxyStopped{Reason: reason}})
	if err == nil && p.signer != nil {
		p.tryCheckpoint(ctx)
	}
}

func (p *proxy) tryCheckpoint(ctx context.Context) {
	if err := p.checkpoint(ctx); err != nil && ctx.Err() == nil {
		p.log.Warn("no checkpoint of the event log could be made (CHECKPOINT_FILE)", "error", err)
	}
}

// checkpoint hands the signed head out, and records that it did.
func (p *proxy) checkpoint(ctx context.Context) error {
	c, err := p.events.Checkpoint(ctx, p.signer)
	if err != nil {
		return err
	}
	if file := p.settings.Audit.CheckpointFile; file != "" {
		err = c.Save(file, p.signer)
	} else {
		p.log.Info("checkpoint of the event log", "note", string(c.Sign(p.signer)))
	}
	if err != nil {
		return err
	}
	return p.events.Append(ctx, store.Event{Time: time.Now(), Fact: store.LogCheckpointed{
		Seq:   c.Seq,
		Hash:  hex.EncodeToString(c.Hash[:]),
		KeyID: p.signer.ID(),
	}})
}
