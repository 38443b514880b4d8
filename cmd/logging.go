// Log lines: charmbracelet/log behind slog, with everything from outside made safe to read.

package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/log"
	"github.com/muesli/termenv"
)

const logTime = "2006-01-02T15:04:05.000Z"

// newLogger is the logger of every part of gprxy: lines on std.Err at LOG_LEVEL, written as LOG_FORMAT says.
func newLogger(std IO, env Environment, level, format string) *slog.Logger {
	l := log.NewWithOptions(std.Err, log.Options{
		Level:           log.InfoLevel,
		ReportTimestamp: true,
		TimeFunction:    func(t time.Time) time.Time { return t.UTC() },
		TimeFormat:      logTime,
	})
	if level == settings.LogDebug {
		l.SetLevel(log.DebugLevel)
	}
	keep := unicode.IsPrint
	switch format {
	case settings.FormatJSON:
		l.SetFormatter(log.JSONFormatter)
		keep = encoded
	case settings.FormatLogfmt:
		l.SetFormatter(log.LogfmtFormatter)
		keep = encoded
	}
	l.SetStyles(logStyles())
	l.SetColorProfile(termenv.Ascii)
	if env.colour(std.ErrWidth) {
		l.SetColorProfile(termenv.ANSI)
	}
	return slog.New(&safeHandler{next: l, keep: keep})
}

// encoded keeps what the JSON and logfmt encoders escape by themselves, losslessly.
func encoded(r rune) bool { return r < ' ' || unicode.IsPrint(r) }

func logStyles() *log.Styles {
	s := log.DefaultStyles()
	level := func(name, colour string) lipgloss.Style {
		return lipgloss.NewStyle().SetString(name).Bold(true).Foreground(lipgloss.Color(colour))
	}
	s.Levels = map[log.Level]lipgloss.Style{
		log.DebugLevel: level("DEBUG", "4"),
		log.InfoLevel:  level("INFO ", "6"),
		log.WarnLevel:  level("WARN ", "3"),
		log.ErrorLevel: level("ERROR", "1"),
	}
	return s
}

// safeHandler hands plain, escaped values to charmbracelet/log, which by itself writes messages as they are,
// spreads a value with a line break over several lines, drops fields named like its own (level, time,
// msg), and turns groups into a prefix of the message. It never changes; safe for concurrent use.
type safeHandler struct {
	next  slog.Handler
	keep  func(rune) bool // what needs no escaping here
	group string          // "" or "a.b."
	attrs []slog.Attr     // flat and safe already
}

func (h *safeHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *safeHandler) Handle(ctx context.Context, r slog.Record) error {
	safe := slog.NewRecord(r.Time, namedLevel(r.Level), terminal.Escape(r.Message, h.keep), 0)
	safe.AddAttrs(h.attrs...)
	var own []slog.Attr
	r.Attrs(func(a slog.Attr) bool {
		own = h.flatten(own, h.group, a)
		return true
	})
	safe.AddAttrs(own...)
	return h.next.Handle(ctx, safe)
}

func (h *safeHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		with.attrs = h.flatten(with.attrs, h.group, a)
	}
	return &with
}

func (h *safeHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.group += name + "."
	return &with
}

// flatten appends a, or its members as group.name, with safe keys and values.
func (h *safeHandler) flatten(to []slog.Attr, group string, a slog.Attr) []slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, member := range v.Group() {
			to = h.flatten(to, group, member)
		}
		return to
	}
	if a.Key == "" && v.Any() == nil {
		return to // slog's rule: the zero Attr is nothing
	}
	return append(to, slog.Attr{Key: safeKey(group + a.Key), Value: h.safeValue(v)})
}

func safeKey(key string) string {
	key = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || strings.ContainsRune(` ="`, r) {
			return '_'
		}
		return r
	}, key)
	switch key {
	case log.TimestampKey, log.LevelKey, log.MessageKey, log.CallerKey, log.PrefixKey, "":
		return key + "_"
	}
	return key
}

// safeValue keeps numbers and truth values, and writes everything else as escaped text.
func (h *safeHandler) safeValue(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindBool, slog.KindInt64, slog.KindUint64, slog.KindFloat64:
		return v
	case slog.KindTime:
		return slog.StringValue(v.Time().UTC().Format(logTime))
	case slog.KindDuration:
		return slog.StringValue(v.Duration().String())
	case slog.KindString:
		return slog.StringValue(terminal.Escape(v.String(), h.keep))
	}
	if list, ok := v.Any().([]string); ok {
		return slog.StringValue(terminal.Escape(strings.Join(list, ","), h.keep))
	}
	return slog.StringValue(terminal.Escape(fmt.Sprint(v.Any()), h.keep))
}

// namedLevel rounds down to a level that has a name; charmbracelet/log leaves out the others.
func namedLevel(l slog.Level) slog.Level {
	switch {
	case l >= slog.LevelError:
		return slog.LevelError
	case l >= slog.LevelWarn:
		return slog.LevelWarn
	case l >= slog.LevelInfo:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// warn tells the person about what is no error, on std.Err.
func (c *call) warn(sentences ...string) {
	for _, s := range sentences {
		fmt.Fprintf(c.Err, "gprxy: warning: %s\n", terminal.Printable(s))
	}
}

// note tells the person something about the output, on std.Err.
func (c *call) note(format string, args ...any) {
	fmt.Fprintf(c.Err, "%s\n", terminal.Printable(fmt.Sprintf(format, args...)))
}
