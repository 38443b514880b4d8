// The company's login, and gprxy: built, set up by its environment, started, and its log.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gprxy/auth/authtest"
)

// shownLog is how many lines of gprxy's log a failed demo shows.
const shownLog = 20

func startIssuer(_ context.Context, d *demo) error {
	issuer, err := authtest.New(authtest.Options{Users: demoUsers(), DeviceInterval: time.Second})
	if err != nil {
		return err
	}
	d.issuer = issuer
	d.undo = append(d.undo, issuer.Close)
	d.screen.say("%s signs tokens for %s", issuer.URL(), issuer.Audience())
	return nil
}

func startProxy(ctx context.Context, d *demo) error {
	d.gprxy = filepath.Join(d.dir, "gprxy")
	build := exec.CommandContext(ctx, "go", "build", "-o", d.gprxy, "gprxy")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build gprxy: %w\n%s", err, out)
	}
	settings := d.settings()
	shown := make([]string, len(settings))
	for i, s := range settings {
		shown[i] = s.name + "=" + s.shown()
	}
	d.screen.command(strings.Join(shown, " ") + " gprxy start")
	if err := d.launch(ctx, settings); err != nil {
		return err
	}
	d.screen.ok("listening on 127.0.0.1:%s; its log is %s", d.port, d.logPath())
	d.screen.say("From here on:")
	d.screen.command(fmt.Sprintf("export EVENT_LOG=%s PGHOST=localhost PGHOSTADDR=127.0.0.1 PGPORT=%s PGDATABASE=%s PGSSLMODE=verify-full "+
		"PGSSLROOTCERT=%s",
		d.eventLog(), d.port, database, d.rootCert()))
	return nil
}

// launch starts gprxy and waits until it listens.
func (d *demo) launch(ctx context.Context, settings []setting) error {
	log, err := os.OpenFile(d.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("make gprxy's log: %w", err)
	}
	defer log.Close()                                                      // the child has its own
	c := exec.CommandContext(context.WithoutCancel(ctx), d.gprxy, "start") // undo stops it, and waits
	c.Dir = d.dir                                                          // a .env beside the caller is not for the demo
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir}
	for _, s := range settings {
		c.Env = append(c.Env, s.name+"="+s.value)
	}
	c.Stdout, c.Stderr = log, log
	if d.proxy, err = start(c); err != nil {
		return err
	}
	d.undo = append(d.undo, d.proxy.stop)
	return until(ctx, "gprxy listens", d.listening)
}

// listeningLine is the log line that tells the port; PROXY_PORT=0 took any that was free.
var listeningLine = regexp.MustCompile(`listening.* address=\S+:(\d+)`)

func (d *demo) listening() (bool, error) {
	select {
	case <-d.proxy.ended:
		return false, errors.New("gprxy ended")
	default:
	}
	log, err := os.ReadFile(d.logPath())
	if err != nil {
		return false, err
	}
	found := listeningLine.FindSubmatch(log)
	if found == nil {
		return false, nil
	}
	d.port = string(found[1])
	return true, nil
}

// setting is one of gprxy's settings.
type setting struct {
	name, value string
	secret      string // the part of value that is not shown
}

func (s setting) shown() string {
	if s.secret == "" {
		return s.value
	}
	return strings.TrimSuffix(s.value, s.secret) + "…"
}

func (d *demo) settings() []setting {
	return []setting{
		{name: "PROXY_PORT", value: "0"},
		{name: "PROXY_CERT", value: "auto"},
		{name: "DB_HOST", value: "127.0.0.1"},
		{name: "DB_PORT", value: strconv.Itoa(int(d.postgres.Port))},
		{name: "DB_SSLMODE", value: "verify-full"},
		{name: "DB_SSLROOTCERT", value: d.postgres.RootCert},
		{name: "OIDC_ISSUER", value: d.issuer.URL()},
		{name: "AUDIENCE", value: d.issuer.Audience()},
		{name: "OIDC_CLIENT_ID", value: authtest.DefaultClient},
		{name: "DEVICE_LOGIN", value: "on"},
		{name: "ROLE_MAPPING_READER", value: reader + ":" + d.accounts.reader, secret: d.accounts.reader},
		{name: "ROLE_MAPPING_WRITER", value: writer + ":" + d.accounts.writer, secret: d.accounts.writer},
		{name: "GPRXY_USER", value: service},
		{name: "GPRXY_PASS", value: d.accounts.service, secret: d.accounts.service},
		{name: "EVENT_LOG", value: d.eventLog()},
		{name: "AUDIT_STATEMENTS", value: "params"},
		{name: "SHUTDOWN_TIMEOUT", value: "3s"},
	}
}

func (d *demo) eventLog() string { return filepath.Join(d.dir, "events.db") }
func (d *demo) logPath() string  { return filepath.Join(d.dir, "gprxy.log") }

// rootCert is the CA that PROXY_CERT=auto made.
func (d *demo) rootCert() string { return filepath.Join(d.dir, ".gprxy", "tls", "root.crt") }

// showLog shows the end of gprxy's log, if there is one: the demo has failed, and its files are about to go.
func (d *demo) showLog() {
	log, err := os.ReadFile(d.logPath())
	if err != nil || len(log) == 0 {
		return
	}
	lines := strings.SplitAfter(strings.TrimRight(string(log), "\n"), "\n")
	if len(lines) > shownLog {
		lines = lines[len(lines)-shownLog:]
	}
	fmt.Fprintf(d.screen.out, "\n%s\n", d.screen.paint(red, "The end of gprxy's log:"))
	_, _ = io.WriteString(d.screen.out, strings.Join(lines, "")+"\n")
}
