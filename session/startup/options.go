package startup

import "strings"

// The options of a startup packet are a command line in one string (manual:
// "options" among libpq's parameters).

// CutOption removes each setting of name ("-c name=value", "-cname=value",
// "--name=value") from an options string and leaves the rest as it was.
func CutOption(options, name string) (rest, value string, found bool) {
	words := SplitOptions(options)
	kept, at := "", 0
	for i, word := range words {
		start := word.start
		setting, ok := strings.CutPrefix(word.Text, "--")
		if !ok {
			setting, ok = strings.CutPrefix(word.Text, "-c")
		}
		if !ok && i > 0 && words[i-1].Text == "-c" {
			setting, start = word.Text, words[i-1].start
		}
		key, v, assigns := strings.Cut(setting, "=")
		if !assigns || !strings.EqualFold(key, name) {
			continue
		}
		kept += options[at:start]
		at, value, found = word.end, v, true
	}
	if !found {
		return options, "", false
	}
	return withoutEnds(kept + options[at:]), value, true
}

// withoutEnds removes the space around the words, but not one that a backslash makes part of a word.
func withoutEnds(options string) string {
	words := SplitOptions(options)
	if len(words) == 0 {
		return ""
	}
	return options[words[0].start:words[len(words)-1].end]
}

// Option is a word of an options string and where it stands in it.
type Option struct {
	Text       string
	start, end int
}

// SplitOptions separates the words of an options string as PostgreSQL's
// pg_split_opts does: white space separates, a backslash takes the next
// character as it is.
func SplitOptions(options string) []Option {
	var words []Option
	var text strings.Builder
	start, escaped := -1, false
	for i := range len(options) {
		c := options[i]
		if !escaped && isSpace(c) {
			if start >= 0 {
				words = append(words, Option{text.String(), start, i})
			}
			text.Reset()
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
		if escaped = !escaped && c == '\\'; !escaped {
			text.WriteByte(c)
		}
	}
	if start >= 0 {
		words = append(words, Option{text.String(), start, len(options)})
	}
	return words
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
