// The whole story, watched by a person who pastes what the demo offers; and what an interrupt leaves behind.
package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// tape records what the demo shows, and tells when a text has come.
type tape struct {
	mu    sync.Mutex // guards all below
	text  bytes.Buffer
	waits map[string]chan struct{}
}

func (s *tape) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	for text, come := range s.waits {
		if bytes.Contains(s.text.Bytes(), []byte(text)) {
			close(come)
			delete(s.waits, text)
		}
	}
	return len(p), nil
}

func (s *tape) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// after is closed when the text has come. It must be called before the demo begins.
func (s *tape) after(text string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waits == nil {
		s.waits = map[string]chan struct{}{}
	}
	s.waits[text] = make(chan struct{})
	return s.waits[text]
}

// show starts the demo; the returned function waits for its end.
func show(ctx context.Context, t *testing.T, to *tape, in io.Reader) (end func() error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, watcher{screen: &screen{out: to, width: maxWidth, wide: maxWidth}, in: in})
	}()
	return func() error {
		select {
		case err := <-ended:
			return err
		case <-time.After(2 * time.Minute):
			t.Fatalf("the demo does not end; so far:\n%s", to)
			return nil
		}
	}
}

func TestStoryAndWhatItOffers(t *testing.T) {
	var to tape
	in, person := io.Pipe()
	defer person.Close()
	offered := to.after("Press Enter")
	end := show(t.Context(), t, &to, in)
	select {
	case <-offered:
	case <-time.After(2 * time.Minute):
		t.Fatalf("the story does not end; so far:\n%s", &to)
	}
	paste(t, to.String())
	if _, err := io.WriteString(person, "\n"); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Errorf("the demo failed: %v", err)
	}
	checkStory(t, to.String())
	checkClean(t, to.String())
}

func checkStory(t *testing.T, story string) {
	t.Helper()
	for _, line := range []string{
		`app_reader   \| alice@example.com \|`,
		`ERROR:  permission denied for table orders`,
		`app_writer   \| bob@example.com \|`,
		`app_service  \| carol  \|`,
		`FATAL:  none of your roles`,
		`FATAL:  the token has\s+expired`,
		`ERROR:  canceling statement due to user request`,
		`ok  the same backend \d+: bob's row is not there`,
		`\$ gprxy sessions\n +STATE`,
		`auth.failed .*alice`,
		`intact +\d+ events`,
		` 8  mallory@example.com +\(not let in\) +\(refused: no mapped role\)  OK`,
		`12  dave@example.com +app_writer +app_writer +OK`,
		`ok  11 visits, 11 sessions on record`,
		`statement.executed +carol +select count\(\*\) from orders`,
		`chain +intact`,
		`ok  5 events of carol's: Authentication, Logoff \(1\); Authentication, Logon \(1\); Datastore`,
		`All 22 steps went as they should`,
	} {
		if !regexp.MustCompile(line).MatchString(story) {
			t.Errorf("the story lacks %q", line)
		}
	}
	for line := range strings.Lines(story) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > maxWidth {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
	if strings.Contains(story, "eyJ") || strings.Contains(story, "\x1b") {
		t.Error("the story shows a token or a colour")
	}
	if t.Failed() {
		t.Log(story)
	}
}

// paste runs what the demo offers as a shell would; psql also needs something to do.
func paste(t *testing.T, story string) {
	t.Helper()
	_, offers, _ := strings.Cut(story, "Paste into another terminal:\n")
	for _, row := range []struct{ what, input, prints string }{
		{"psql as alice@example.com", "select * from whoami;", "app_reader"},
		{"psql as bob@example.com", "select * from whoami;", "app_writer"},
		{"who is connected now", "", "no sessions match"},
	} {
		_, rest, found := strings.Cut(offers, "# "+row.what+"\n")
		line, _, _ := strings.Cut(rest, "\n\n")
		if !found {
			t.Errorf("nothing is offered as %s", row.what)
			continue
		}
		// The end of the last psql's session may come into the log a moment after psql has ended.
		var out []byte
		var err error
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
			sh := exec.CommandContext(t.Context(), "sh", "-c", line)
			sh.Stdin = strings.NewReader(row.input)
			if out, err = sh.CombinedOutput(); err != nil || strings.Contains(string(out), row.prints) {
				break
			}
		}
		if err != nil || !strings.Contains(string(out), row.prints) {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}

// checkClean looks for what a demo may leave: its folders, its processes' sockets.
func checkClean(t *testing.T, story string) {
	t.Helper()
	folders := regexp.MustCompile(`\S*/gprxy-(demo|pg)-[0-9-]+`).FindAllString(story, -1)
	if len(folders) == 0 {
		t.Error("the story names no folder")
	}
	for _, dir := range folders {
		dir = dir[strings.LastIndex(dir, "=")+1:]
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there (%v)", dir, err)
		}
	}
	_, rest, _ := strings.Cut(story, "listening on ")
	address, _, _ := strings.Cut(rest, ";")
	if c, err := dial(t.Context(), address); err == nil {
		c.Close()
		t.Errorf("%s still answers", address)
	}
}

func TestInterruptCleansUp(t *testing.T) {
	var to tape
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	running := to.after("PostgreSQL runs it as")
	end := show(ctx, t, &to, nil)
	select {
	case <-running:
	case <-time.After(2 * time.Minute):
		t.Fatalf("no query runs; so far:\n%s", &to)
	}
	interrupt()
	err := end()
	if !errors.Is(err, context.Canceled) || exitCode(ctx, err) != exitInterrupted {
		t.Errorf("an interrupted demo ends with %v", err)
	}
	checkClean(t, to.String())
}
