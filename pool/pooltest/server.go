// The server's life: Start, Stop, Restart, and what a test needs to know about it.
package pooltest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	readyLimit    = 30 * time.Second // a loaded machine may need long for the first start
	startAttempts = 5                // the free port may be taken before the server has it
)

// Server is a running PostgreSQL. Its methods are not for concurrent use, except Exec, Query, CreateUser and Log.
type Server struct {
	Port              uint16 // on 127.0.0.1
	SocketDir         string // directory of the Unix socket
	SuperuserPassword string
	RootCert          string // PEM file of the CA that signed the server's certificate; empty without Options.TLS

	options Options
	bin     string
	dir     string              // holds everything; removed by Stop
	owner   *syscall.Credential // nil: this process's own user
	life    context.Context     // values only: a server outlives the ctx of Start
	kept    keptConns
	process *process // nil while down
}

// Start starts a server and returns when it accepts connections. The caller must Stop it.
func Start(ctx context.Context, o Options) (*Server, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	if o.Progress == nil {
		o.Progress = os.Stderr
	}
	s := &Server{options: o, SuperuserPassword: rand.Text(), life: ctx}
	if s.bin, err = o.binaries(ctx); err != nil {
		return nil, err
	}
	if s.owner, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.dir, err = makeDir(s.owner); err != nil {
		return nil, err
	}
	s.SocketDir = s.dir
	if err := s.create(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// create makes the cluster and starts it on a free port.
func (s *Server) create(ctx context.Context) error {
	out, err := s.command(ctx, "initdb", "-D", s.dataDir(), "-U", Superuser, "-N", "-A", "trust", "-E", "UTF8",
		"--locale=C").CombinedOutput()
	if err != nil {
		return fmt.Errorf("running initdb: %w\n%s", err, out)
	}
	if s.options.TLS {
		if err := s.writeCertificate(); err != nil {
			return fmt.Errorf("writing the certificate: %w", err)
		}
	}
	if err := s.writeFile(filepath.Join(s.dataDir(), "pg_hba.conf"), []byte(s.options.hba())); err != nil {
		return fmt.Errorf("writing pg_hba.conf: %w", err)
	}
	for range startAttempts {
		if s.Port, err = freePort(); err != nil {
			return err
		}
		conf := []byte(s.options.conf(s.Port, s.SocketDir))
		if err = s.writeFile(filepath.Join(s.dataDir(), "postgresql.auto.conf"), conf); err != nil {
			return fmt.Errorf("writing the settings: %w", err)
		}
		if err = s.Up(ctx); err == nil {
			return s.Exec(ctx, "ALTER ROLE "+Superuser+" PASSWORD '"+s.SuperuserPassword+"'")
		}
	}
	return err
}

// Up starts a server that is down and returns when it accepts connections.
func (s *Server) Up(ctx context.Context) error {
	if s.process != nil {
		return errors.New("the server is up already")
	}
	p, err := s.start()
	if err != nil {
		return err
	}
	if err := s.ready(ctx, p); err != nil {
		return errors.Join(err, p.stop())
	}
	s.process = p
	return nil
}

// Down stops the server and keeps its data and port.
func (s *Server) Down() error {
	if s.process == nil {
		return nil
	}
	s.kept.close(context.WithoutCancel(s.life))
	p := s.process
	s.process = nil
	return p.stop()
}

// Restart is Down and Up: every connection is cut.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Down(); err != nil {
		return err
	}
	return s.Up(ctx)
}

// Abort is pg_ctl stop -m immediate: sessions are cut without a checkpoint, and Up has to recover.
func (s *Server) Abort() error {
	if s.process == nil {
		return errors.New("the server is down")
	}
	p := s.process
	s.process = nil
	if err := p.command.Process.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	<-p.done
	return nil
}

// Crash kills the server's processes with SIGKILL, at once and in the middle of what they do. Data and port stay; Up
// starts it again, which recovers, but fails until the last process is gone. What is lost besides what was not committed
// is up to Settings (synchronous_commit).
func (s *Server) Crash(ctx context.Context) error {
	if s.process == nil {
		return errors.New("the server is down")
	}
	rows, err := s.Query(ctx, "postgres", "SELECT pid FROM pg_stat_activity")
	if err != nil {
		return err
	}
	p := s.process
	s.process = nil
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing PostgreSQL: %w", err)
	}
	for _, row := range rows {
		if pid, err := strconv.Atoi(row[0]); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone: without its postmaster a process ends
		}
	}
	<-p.done
	return nil
}

// Stop stops the server and removes everything it wrote.
func (s *Server) Stop() error {
	return errors.Join(s.Down(), os.RemoveAll(s.dir))
}

// ready waits until the server answers a query, has ended, or the time is over.
func (s *Server) ready(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		err := s.Exec(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("PostgreSQL ended while starting; its log:\n%s", s.Log())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL is not ready: %w; its log:\n%s", err, s.Log())
		case <-retry.C:
		}
	}
}

// Addr is host:port for TCP connections.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(s.Port))) }

// BinDir is the folder with the server's programs; psql and pgbench may be there too, see Program.
func (s *Server) BinDir() string { return s.bin }

// DSN is a connection URL for TCP; sslmode is require with Options.TLS, else disable.
func (s *Server) DSN(user, password, database string) string {
	mode := "disable"
	if s.options.TLS {
		mode = "require"
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: s.Addr(), Path: "/" + database,
		RawQuery: "sslmode=" + mode}
	return u.String()
}

// SuperuserDSN is DSN for the superuser and the database postgres.
func (s *Server) SuperuserDSN() string { return s.DSN(Superuser, s.SuperuserPassword, "postgres") }

// Log returns what the server has logged, for a failed test to show.
func (s *Server) Log() string {
	content, err := os.ReadFile(s.logPath())
	if err != nil {
		return err.Error()
	}
	return string(content)
}

func (s *Server) dataDir() string { return filepath.Join(s.dir, "data") }
func (s *Server) logPath() string { return filepath.Join(s.dir, "log") }

// freePort asks the kernel for a port nobody uses now.
func freePort() (uint16, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port), nil
}
