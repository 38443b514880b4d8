// The child process that outlives a step: gprxy itself.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stopLimit is what a process may take to end after SIGTERM before it is killed.
const stopLimit = 10 * time.Second

// process is a running child. It is in a process group of its own, so that Ctrl-C reaches only the demo, which then
// stops it in order.
type process struct {
	command *exec.Cmd
	ended   chan struct{} // closed when it was waited for; err is set by then
	err     error
}

// start starts the command; a kernel that can ends it with the demo, even if that is killed. This is tied to the thread that
// starts it, so a goroutine keeps that thread until the child has ended; stop waits for it.
func start(c *exec.Cmd) (*process, error) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(c.SysProcAttr)
	p := &process{command: c, ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.Start()
		started <- err
		if err == nil {
			p.err = c.Wait()
		}
	}()
	if err := <-started; err != nil {
		<-p.ended
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	return p, nil
}

// stop asks the process to end and waits for it.
func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.command.Path, err)
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.ended:
	case <-limit.C:
		_ = p.command.Process.Kill() // it may have ended this moment
		<-p.ended
		return fmt.Errorf("%s did not end within %v and was killed", p.command.Path, stopLimit)
	}
	if p.err != nil {
		return fmt.Errorf("%s ended with: %w", p.command.Path, p.err)
	}
	return nil
}
