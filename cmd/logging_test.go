// Log lines: readable, parseable, and safe whatever a client puts into them.

package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"gprxy/auth"
	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"
)

// logged is what log writes in a format, the time replaced by TIME.
func logged(t *testing.T, level, format string, log func(*slog.Logger)) string {
	t.Helper()
	var b bytes.Buffer
	log(newLogger(IO{Err: &b}, fixedEnvironment(t), level, format))
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`).ReplaceAllString(b.String(), "TIME")
}

func TestLogLine(t *testing.T) {
	line := func(l *slog.Logger) {
		l.With("session", "06d3").WithGroup("client").Info("a client logged in",
			"user", "alice smith", "rows", 12, "tls", true, "wait", 1500*time.Millisecond, slog.Group("db", "name", "shop"),
			"roles", []string{"a", "b"}, "error", errors.New("no =\"luck\""), "password", auth.Secret("topsecret"), "empty", "")
	}
	for format, want := range map[string]string{
		settings.FormatText: `TIME INFO  a client logged in session=06d3 client.user="alice smith" client.rows=12 client.tls=true client.wait=1.5s client.db.name=shop client.roles=a,b client.error="no =\"luck\"" client.password=[secret] client.empty=""` + "\n",
		settings.FormatJSON: `{"time":"TIME","level":"info","msg":"a client logged in","session":"06d3","client.user":"alice smith","client.rows":12,"client.tls":true,` +
			`"client.wait":"1.5s","client.db.name":"shop","client.roles":"a,b","client.error":"no =\"luck\"","client.password":"[secret]","client.empty":""}` + "\n",
		settings.FormatLogfmt: `time=TIME level=info msg="a client logged in" session=06d3 client.user="alice smith" client.rows=12 client.tls=true client.wait=1.5s client.db.name=shop client.roles=a,b client.error="no =\"luck\"" client.password=[secret] client.empty=` + "\n",
	} {
		equal(t, format, logged(t, settings.LogProduction, format, line), want)
	}
}

func TestLogLevels(t *testing.T) {
	all := func(l *slog.Logger) {
		l.Debug("d")
		l.Info("i")
		l.Warn("w")
		l.Error("e")
		l.Log(t.Context(), slog.LevelWarn+1, "between")
	}
	equal(t, "production", logged(t, settings.LogProduction, settings.FormatText, all),
		"TIME INFO  i\nTIME WARN  w\nTIME ERROR e\nTIME WARN  between\n")
	equal(t, "debug", logged(t, settings.LogDebug, settings.FormatText, all),
		"TIME DEBUG d\nTIME INFO  i\nTIME WARN  w\nTIME ERROR e\nTIME WARN  between\n")
}

// hostile is what a client may call itself.
const hostile = "a\nb\r\tc\x1b[2J\x00\x7f\u009b31m\u202ed\u2028e\xff\U000e0001"

func TestLogLinesAreSafe(t *testing.T) {
	for _, format := range []string{settings.FormatText, settings.FormatJSON, settings.FormatLogfmt} {
		got := logged(t, settings.LogProduction, format, func(l *slog.Logger) {
			l.With("with", hostile).Info("message "+hostile, "value", hostile, "key "+hostile, 1, "error", errors.New(hostile),
				"list", []string{hostile}, "level", "forged", "time", "forged", "msg", "forged", slog.Group("g\n", "k", hostile))
		})
		if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
			t.Errorf("%s: not one line: %q", format, got)
		}
		for _, r := range strings.TrimSuffix(got, "\n") {
			if !unicode.IsPrint(r) {
				t.Errorf("%s: %U in %q", format, r, got)
			}
		}
		if strings.Count(got, "forged") != 3 {
			t.Errorf("%s: fields named like the logger's own are lost: %s", format, got)
		}
		if format != settings.FormatJSON {
			continue
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(got), &line); err != nil || line["level"] != "info" || line["level_"] != "forged" {
			t.Errorf("%v in %s", err, got)
		}
		if value, _ := line["value"].(string); !strings.HasPrefix(value, "a\nb\r\tc\x1b[2J\x00") {
			t.Errorf("JSON can carry control characters unchanged, got %q", value)
		}
	}
}

func TestLogColour(t *testing.T) {
	for _, row := range []struct {
		width     int
		variables []string
		want      bool
	}{{0, nil, false}, {80, nil, true}, {80, []string{"NO_COLOR=1"}, false}} {
		for _, format := range []string{settings.FormatText, settings.FormatJSON} {
			var b bytes.Buffer
			newLogger(IO{Err: &b, ErrWidth: row.width}, Environment{Variables: row.variables}, settings.LogProduction, format).Info("x")
			if got, want := strings.Contains(b.String(), "\x1b["), row.want && format == settings.FormatText; got != want {
				t.Errorf("%+v %s: colour %v, want %v", row, format, got, want)
			}
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add(hostile)
	f.Add("plain ü 漢")
	f.Fuzz(func(t *testing.T, s string) {
		got := terminal.Printable(s)
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("%U in %q", r, got)
			}
		}
		var back string
		var line bytes.Buffer
		if err := terminal.WriteJSON(&line, s); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(line.Bytes(), &back); err != nil || utf8.ValidString(s) && back != s {
			t.Errorf("%q became %q in JSON: %v", s, back, err)
		}
	})
}

func FuzzFilters(f *testing.F) {
	for _, seed := range []string{"--user\x00a", "--since\x001h\x00--until\x002h", "--limit\x00-1", "--type\x00x", "--\x00x", "-\x00-x",
		"--user", "--session\x00'"} {
		f.Add(seed)
	}
	env := Environment{Variables: []string{"HOME=/nonexistent"}, Dir: "/nonexistent", Now: time.Now}
	f.Fuzz(func(t *testing.T, line string) {
		for _, name := range []string{"sessions", "audit", "audit verify"} {
			var out, errs bytes.Buffer
			args := append(strings.Fields(name), strings.Split(line, "\x00")...)
			code := Run(t.Context(), args, IO{Out: &out, Err: &errs}, env)
			if code < 0 || code > 2 || code != 0 && errs.Len() == 0 {
				t.Errorf("%q: exit %d, stderr %q", args, code, errs.String())
			}
			for _, r := range errs.String() {
				if r != '\n' && !unicode.IsPrint(r) {
					t.Errorf("%q: %U in %q", args, r, errs.String())
				}
			}
		}
	})
}
