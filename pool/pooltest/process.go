// The server process: started by the unprivileged user that owns the data, ended with its parent.
package pooltest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// stopLimit is how long a fast shutdown may take before the server is killed.
const stopLimit = 10 * time.Second

// process is a running postmaster. done is closed once it has ended and was waited for.
type process struct {
	command *exec.Cmd
	done    chan struct{}
}

// command prepares a server program to run as owner with a clean environment: PG* variables of the caller would
// reach initdb and the server.
func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=" + s.dir}
	c.Env = append(c.Env, s.options.Env...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	return c
}

// start starts the postmaster. Its parent-death signal is tied to the thread that starts it, so a goroutine keeps
// that thread until the server has ended; stop and wait wait for that goroutine.
func (s *Server) start() (*process, error) {
	logFile, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the server's log: %w", err)
	}
	defer logFile.Close()
	c := s.command(context.WithoutCancel(s.life), "postgres", "-D", s.dataDir())
	c.Stdout, c.Stderr = logFile, logFile
	dieWithParent(c.SysProcAttr)

	p := &process{command: c, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.Start()
		started <- err
		if err == nil {
			_ = c.Wait() // how a server ended stands in its log
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	return p, nil
}

// stop asks for a fast shutdown (sessions are cut, data is written) and waits; a server that does not follow is killed.
func (p *process) stop() error {
	if err := p.command.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.done:
		return nil
	case <-limit.C:
	}
	_ = p.command.Process.Signal(syscall.SIGQUIT) // immediate shutdown: the children go too
	_ = p.command.Process.Kill()
	<-p.done
	return errors.New("PostgreSQL did not stop in time and was killed")
}
