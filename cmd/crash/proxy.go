// gprxy as a process: started, killed, stopped, and what it said.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit = 30 * time.Second
	stopLimit  = 30 * time.Second
	shownLines = 20 // of its log, with an error
)

// proxy is one running gprxy.
type proxy struct {
	command *exec.Cmd
	address string // where it listens, once it does
	ended   chan struct{}
	err     error // why it ended; to be read after ended

	mu    sync.Mutex // guards lines
	lines []string   // the last it wrote
	worst string     // the first line that no kill explains
}

// start starts gprxy and returns when it listens.
func (s *scene) start(ctx context.Context, eventLog string) (*proxy, error) {
	p, err := s.launch(ctx, eventLog)
	if err != nil {
		return nil, err
	}
	_, err = poll(ctx, "gprxy listens", startLimit, func() (bool, error) {
		select {
		case <-p.ended:
			return false, fmt.Errorf("gprxy ended: %w", p.err)
		default:
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.address != "", nil
	})
	if err != nil {
		p.kill()
		return nil, p.explain(err)
	}
	return p, nil
}

// launch starts gprxy and waits for nothing.
func (s *scene) launch(ctx context.Context, eventLog string) (*proxy, error) {
	p := &proxy{command: exec.Command(s.binary, "start"), ended: make(chan struct{})}
	p.command.Dir, p.command.Env = s.dir, s.settings(eventLog)
	out, err := p.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "gprxy.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open gprxy's log: %w", err)
	}
	if err := p.command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start gprxy: %w", err), log.Close())
	}
	go func() { // ends with the process; kill and stop wait for it
		defer close(p.ended)
		p.listen(io.TeeReader(out, log))
		p.err = errors.Join(p.command.Wait(), log.Close())
	}()
	return p, nil
}

func (s *scene) settings(eventLog string) []string {
	settings := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "NO_COLOR=1", "LOG_FORMAT=logfmt",
		"PROXY_PORT=0", "PROXY_CERT=auto",
		"DB_HOST=127.0.0.1", fmt.Sprintf("DB_PORT=%d", s.postgres.Port), "DB_SSLMODE=disable",
		"GPRXY_USER=gprxy_service", "GPRXY_PASS=" + secretOf("gprxy_service"),
		"OIDC_ISSUER=" + s.issuer.URL(), "AUDIENCE=" + s.issuer.Audience(),
		"ROLE_MAPPING_READER=app_reader:" + secretOf("app_reader"),
		"ROLE_MAPPING_WRITER=app_writer:" + secretOf("app_writer"),
		"EVENT_LOG=" + eventLog,
		"LOGIN_MAX_FAILURES=0", // clients that guess have one address with all others
	}
	if s.durability != "" {
		settings = append(settings, "AUDIT_STATEMENTS=params", "AUDIT_DURABILITY="+s.durability)
	}
	return settings
}

var listening = regexp.MustCompile(`msg=listening.* address=(\S+)`)

// unexpected is what gprxy never says for being killed or for what clients do.
var unexpected = regexp.MustCompile(`DATA RACE|^panic:|^fatal error:|fault in gprxy|event log cannot be written|events are being lost|was not recorded`)

func (p *proxy) listen(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		p.mu.Lock()
		if m := listening.FindStringSubmatch(line); m != nil {
			p.address = m[1]
		}
		if p.worst == "" && unexpected.MatchString(line) {
			p.worst = line
		}
		if p.lines = append(p.lines, line); len(p.lines) > shownLines {
			p.lines = p.lines[1:]
		}
		p.mu.Unlock()
	}
}

// kill is kill -9. It returns when the process is gone.
func (p *proxy) kill() {
	_ = p.command.Process.Kill() // it may have ended by itself: fault tells
	<-p.ended
}

// fault tells what the process did wrong before it was killed.
func (p *proxy) fault() error {
	p.mu.Lock()
	worst := p.worst
	p.mu.Unlock()
	if worst != "" {
		return p.explain(fmt.Errorf("gprxy said: %s", worst))
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.err); !ok || !killed(exit) {
		return p.explain(fmt.Errorf("gprxy was to be killed and ended by itself: %w", p.err))
	}
	return nil
}

func killed(exit *exec.ExitError) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// stop ends gprxy with SIGTERM.
func (p *proxy) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return p.explain(fmt.Errorf("stop gprxy: %w", err))
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.ended:
	case <-limit.C:
		p.kill()
		return p.explain(fmt.Errorf("gprxy did not end within %v of SIGTERM", stopLimit))
	}
	if p.err != nil || p.worst != "" {
		return p.explain(fmt.Errorf("gprxy ended with %w; %s", p.err, p.worst))
	}
	return nil
}

// explain adds the end of its log.
func (p *proxy) explain(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%w\nthe end of gprxy's log:\n%s", err, strings.Join(p.lines, "\n"))
}
