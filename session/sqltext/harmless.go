package sqltext

import (
	"maps"
	"slices"
	"strings"
)

// What would do something if it were code.

// longestValue is how long a value may be that is masked although it is more than one word: keys are shorter.
const longestValue = 8 << 10

// isHarmless tells whether s[from:to] would do nothing if it were code: no command stands in it, and nothing in it is called.
func (p *plainText) isHarmless(s string, from, to int, last bool) bool {
	return !commands.in(s[from:to]) && !isCalled(s, to, last) && !callsIn(s[from:to], p.paren-from)
}

// callsIn tells whether s holds a name and an argument list. The last closing parenthesis, which may stand behind s, is at byte paren.
func callsIn(s string, paren int) bool {
	for at := 0; ; at++ {
		open := strings.IndexByte(s[at:], '(')
		if open < 0 || paren < at+open {
			return false
		}
		at += open
		before := strings.TrimRight(s[:at], " \t\r\n\f\v\"/")
		if before != "" && (isWordStart(before[len(before)-1]) || isDigit(before[len(before)-1])) {
			return true
		}
	}
}

// mayDoSomething tells whether a command or a call stands in what is a value.
func mayDoSomething(s string) bool {
	return commands.in(s) || callsIn(s, strings.LastIndexByte(s, ')'))
}

// commandWords are words that make SQL do something.
type commandWords map[string]bool

// in tells whether one of them stands in s.
func (c commandWords) in(s string) bool {
	for at := 0; at < len(s); {
		if !isWordStart(s[at]) {
			at++
			continue
		}
		end := at
		for end < len(s) && (isWordStart(s[end]) || isDigit(s[end]) || s[end] == '$') {
			end++
		}
		if end-at <= longestCommand && c[strings.ToLower(s[at:end])] {
			return true
		}
		at = end
	}
	return false
}

// longestCommand bounds what is looked up: no command is longer.
const longestCommand = 16

// commands are the words that statements begin with, and those that put another query into one.
var commands = func() commandWords {
	c := commandWords(set("union", "except", "intersect", "into"))
	for _, w := range slices.Concat(slices.Collect(maps.Keys(statements)), slices.Collect(maps.Keys(namedStatements)),
		slices.Collect(maps.Keys(loneStatements))) {
		c[w] = true
	}
	return c
}()
