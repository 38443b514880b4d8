// Many processes and one file: they refresh once, and none is killed into half a file.

package sso_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"gprxy/auth"
	"gprxy/auth/authtest"
	"gprxy/auth/sso"
)

// runChild is the test binary run again.
func runChild(what string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s := sso.Store{Path: os.Getenv("GPRXY_SSO_STORE")}
	switch what {
	case "valid":
		tokens, err := s.Valid(ctx, sso.Config{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(tokens.Password().Reveal())
	case "save": // for ever, two contents in turn
		for n := 0; ctx.Err() == nil; n++ {
			if err := s.Save(ctx, large(n%2)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			fmt.Println("saved")
		}
	}
	return 0
}

func child(t *testing.T, what string, s sso.Store) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), "GPRXY_SSO_CHILD="+what, "GPRXY_SSO_STORE="+s.Path)
	return command
}

func TestTwentyProcessesRefreshOnce(t *testing.T) {
	iss, s := authtest.Start(t, authtest.Options{}), newStore(t)
	old := expired(t, iss, s, configFor(iss))
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		tokens = map[string]int{}
	)
	for range 20 {
		command := child(t, "valid", s)
		all.Go(func() {
			out, err := command.Output()
			if err != nil {
				t.Errorf("%v: %s", err, stderr(err))
			}
			mu.Lock()
			defer mu.Unlock()
			tokens[strings.TrimSpace(string(out))]++
		})
	}
	all.Wait()
	if n := iss.Grants("refresh_token"); n != 1 {
		t.Errorf("refreshed %d times", n)
	}
	if len(tokens) != 1 || tokens[old.Access.Reveal()] > 0 {
		t.Fatalf("%d different tokens, the old one %d times", len(tokens), tokens[old.Access.Reveal()])
	}
	for token := range tokens {
		requireGood(t, iss, "gprxy", sso.Tokens{Access: auth.Secret(token)})
	}
}

func stderr(err error) string {
	if e, ok := err.(*exec.ExitError); ok {
		return string(e.Stderr)
	}
	return ""
}

// large is a login that takes more than one page of a disk.
func large(n int) sso.Tokens {
	tokens := tokensOf("https://a.example.com", fmt.Sprint(n))
	tokens.Access = auth.Secret(strings.Repeat(fmt.Sprint(n), 60_000))
	return tokens
}

func TestKilledInTheMiddleOfSave(t *testing.T) {
	s := newStore(t)
	save(t, s, large(0))
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	leftovers := 0
	for range rounds {
		command := child(t, "save", s)
		command.Stderr = os.Stderr
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() { // it is at work
			t.Fatal("the child saved nothing")
		}
		<-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond) // any moment will do
		if err := command.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = command.Wait() // killed

		got, err := s.Load(t.Context(), "", "", "")
		if err != nil {
			t.Fatal(err)
		}
		if want := large(int(got.Access.Reveal()[0] - '0')); got.Access != want.Access || got.User != want.User {
			t.Error("the file is a mixture")
		}
		if _, err := os.Stat(s.Path + ".tmp"); err == nil {
			leftovers++
		}
	}
	save(t, s, large(1)) // the lock died with its holder, and what was left over goes
	requireFiles(t, s, "credentials", "credentials.lock")
	t.Logf("%d of %d kills left a file that was not whole yet", leftovers, rounds)
}

func TestFileFormat(t *testing.T) {
	s := newStore(t)
	save(t, s, tokensOf("https://a.example.com", "ann"))
	data, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	const want = `{"logins":[{"access_token":"access-ann","audience":"gprxy","client_id":"cli","expires":"2030-01-02T03:04:05Z","id_token":"id-ann",` +
		`"issuer":"https://a.example.com","refresh_token":"refresh-ann","roles":["reader","db writer"],"subject":"sub|ann","user":"ann"}],"version":1}`
	if sorted, _ := json.Marshal(got); string(sorted) != want {
		t.Errorf("the file is %s", sorted)
	}
}
