package session

import "strings"

// The options of a startup packet are a command line in one string (manual:
// "options" among libpq's parameters).

// deniedOption looks for a denied parameter in them and returns its name.
// PostgreSQL reads them with getopt, where -c may stand alone, before its value
// or behind other letters, and "--" also sets a parameter; so everything before a
// name that could be a flag is skipped rather than understood. That may refuse an
// option nobody writes; it lets no denied one through.
func deniedOption(options string) string {
	for _, option := range splitOptions(options) {
		word, _, assigns := strings.Cut(strings.ToLower(option.text), "=")
		if !assigns {
			continue
		}
		name := strings.ReplaceAll(word, "-", "_")
		for _, denied := range deniedParameters {
			if before, ok := strings.CutSuffix(name, denied); ok && flagsOnly(before) {
				return denied
			}
		}
		if at := strings.Index(name, deniedPrefix); at >= 0 && flagsOnly(name[:at]) {
			return name[at:]
		}
	}
	return ""
}

// flagsOnly: nothing, or something that begins like a flag and has no dot (a
// parameter of an extension has one).
func flagsOnly(before string) bool {
	return before == "" || before[0] == '_' && !strings.Contains(before, ".")
}

// cutOption removes each setting of name ("-c name=value", "-cname=value",
// "--name=value") from an options string and leaves the rest as it was.
func cutOption(options, name string) (rest, value string, found bool) {
	words := splitOptions(options)
	kept, at := "", 0
	for i, word := range words {
		start := word.start
		setting, ok := strings.CutPrefix(word.text, "--")
		if !ok {
			setting, ok = strings.CutPrefix(word.text, "-c")
		}
		if !ok && i > 0 && words[i-1].text == "-c" {
			setting, start = word.text, words[i-1].start
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
	words := splitOptions(options)
	if len(words) == 0 {
		return ""
	}
	return options[words[0].start:words[len(words)-1].end]
}

// optionWord is a word of an options string and where it stands in it.
type optionWord struct {
	text       string
	start, end int
}

// splitOptions separates the words of an options string as PostgreSQL's
// pg_split_opts does: white space separates, a backslash takes the next
// character as it is.
func splitOptions(options string) []optionWord {
	var words []optionWord
	var text strings.Builder
	start, escaped := -1, false
	for i := range len(options) {
		c := options[i]
		if !escaped && isSpace(c) {
			if start >= 0 {
				words = append(words, optionWord{text.String(), start, i})
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
		words = append(words, optionWord{text.String(), start, len(options)})
	}
	return words
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
