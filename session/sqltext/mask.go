package sqltext

import (
	"fmt"
	"regexp"
	"strings"
)

// Masked stands where a secret stood. After it, in parentheses, is the length of what is too long for
// one: a statement may hide there.
const Masked = "***"

const longSecret = 256

func masked(length int) string {
	if length <= longSecret {
		return Masked
	}
	return fmt.Sprintf("%s(%d bytes)", Masked, length)
}

// Mask gives the text with its secrets masked, and whether it may hold secrets at all: then values
// bound to it must not be kept either, nor what PostgreSQL says of it. Masked are
//
//   - the literal after a word that names a secret, as in PASSWORD '…', OPTIONS (password '…'),
//     SET x.password = '…', WHERE password = '…', password = crypt('…', x);
//   - the values of an INSERT, if the name of one of its columns is such a word;
//   - in any literal, what follows such a word in the manner of a connection string, of JSON or of SQL:
//     dblink('… password=…'), CONNECTION '…', EXECUTE 'ALTER ROLE … PASSWORD …', DO $$ … $$;
//   - in any literal, the password of a URL.
//
// A literal with a secret of the third kind ends where the secret begins: where the secret itself
// ends depends on who reads the literal. A secret that is put together while the statement runs is
// not seen. backslashes is as for Split.
func Mask(text string, backslashes bool) (kept string, secret bool) {
	if !suspicious(text) {
		return text, false
	}
	m := masker{}
	return m.mask(text, backslashes), m.secret
}

// MaskValue masks what looks like a secret in a value, as Mask does in a literal.
func MaskValue(value string) string {
	if !suspicious(value) {
		return value
	}
	if kept, found := cutSecret(value); found {
		return kept + masked(len(value)-len(kept))
	}
	return value
}

// MaskLiterals masks every literal of a text, whatever it holds, and secrets in comments.
func MaskLiterals(text string, backslashes bool) string {
	m := masker{all: true}
	return m.mask(text, backslashes)
}

// NamesSecret tells whether a value is nothing but a name of a secret, as the first argument of
// set_config('app.password', …) is: then the values beside it must not be kept.
func NamesSecret(value string) bool {
	return suspicious(value) && secretKey.MatchString(value) && secretWord.MatchString(value)
}

// suspicious is a quick look at a text, which clears most of them. Regular expressions take a hundred
// times as long.
func suspicious(text string) bool { return nextSuspect(text) >= 0 }

// nextSuspect is where the first word that may name a secret begins, or the :// of a URL; else -1.
func nextSuspect(text string) int {
	for i := range len(text) {
		var beginnings []string
		switch text[i] | ' ' {
		case 'p':
			beginnings = secretsWithP
		case 's':
			beginnings = secretsWithS
		case 't':
			beginnings = secretsWithT
		case 'a':
			beginnings = secretsWithA
		case ':':
			if strings.HasPrefix(text[i:], "://") {
				return i
			}
		}
		for _, b := range beginnings {
			if len(text)-i >= len(b) && strings.EqualFold(text[i:i+len(b)], b) {
				return i
			}
		}
	}
	return -1
}

// How the words of secretWord begin.
var (
	secretsWithP = []string{"passw", "passp", "private"}
	secretsWithS = []string{"secret"}
	secretsWithT = []string{"token"}
	secretsWithA = []string{"access", "api"}
)

// A word that has one of these in it names a secret.
var secretWord = regexp.MustCompile(`(?i)passw|passphrase|secret|token|(access|api|private)_?key`)

var secretWordHere = regexp.MustCompile(`^(?:` + secretWord.String() + `)`)

var secretKey = regexp.MustCompile(`^[\w.-]{1,64}$`) // and secretWord

// A secret in a literal: a word that names one, and what parts names from values in connection
// strings, JSON and SQL. In SQL a space does, before a quote: PASSWORD 'x', also doubled or escaped,
// or the %L of format('… PASSWORD %L', 'x').
var secretInLiteral = regexp.MustCompile(`(?i)(passw(or)?d|passphrase|secret|token|(access|api|private)_?key)\w*["'\\]*\s*(=>?|:=?|\bto\b|\s[EU]?&?["'\\$%])\s*`)

// The password in a URL: postgresql://user:password@host.
var secretInURL = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s@]+@`)

var passwordInURLHere = regexp.MustCompile(`^://[^\s/@:]*:[^\s@]+@`)

// cutSecret gives what stands before the first secret of a literal.
func cutSecret(content string) (before string, found bool) {
	at := len(content)
	if in := secretInLiteral.FindStringIndex(content); in != nil && in[1] < len(content) {
		at, found = in[1], true
	}
	if in := secretInURL.FindStringIndex(content); in != nil {
		user := in[0] + strings.Index(content[in[0]:], "://") + len("://")
		at, found = min(at, user+strings.Index(content[user:], ":")+1), true
	}
	return content[:at], found
}

// masker copies tokens and masks.
type masker struct {
	out    []byte
	secret bool
	all    bool // every literal is masked

	named bool // the last word named a secret, and what has come since may stand before its value, ...
	key   bool // ... or the last literal, as in set_config('x.password', …), and a comma may come
	told  bool // ... and an operator has come
	fresh bool // the last token was an operator, a parenthesis or a comma

	parens int
	insert insertion
}

// insertion is how far an INSERT is, in which the names of columns stand apart from their values.
type insertion byte

const (
	noInsert      insertion = iota
	insertBegan             // its columns may come
	insertSecrets           // one of them names a secret
	insertValues            // and the values follow
)

func (m *masker) mask(text string, backslashes bool) string {
	m.out = make([]byte, 0, len(text))
	l := lexer{rest: text, backslashes: backslashes}
	for t, more := l.next(); more; t, more = l.next() {
		m.see(t)
	}
	return string(m.out)
}

func (m *masker) see(t token) {
	switch t.kind {
	case space:
		m.out = append(m.out, t.text...)
		return
	case comment:
		m.comment(t)
		return
	case word:
		m.word(t.text)
	case quoted:
		m.name(t.text, false)
	case parameter:
		m.secret = m.secret || m.named || m.insert == insertValues
		m.named = false
	case literal:
		m.literal(t)
	case other:
		m.punctuation(t.text)
	}
	m.fresh = t.kind == other
	if t.kind != literal {
		m.out = append(m.out, t.text...)
	}
}

func (m *masker) word(w string) {
	// password = crypt('…'), 'password'::text, …: one word may stand between.
	m.name(w, m.named && (strings.EqualFold(w, "to") || m.told && m.fresh))
	switch {
	case strings.EqualFold(w, "insert"):
		m.insert = insertBegan
	case m.insert == insertSecrets && strings.EqualFold(w, "values"):
		m.insert = insertValues
	}
}

// name takes in a keyword or name. still says that the value may come yet of what was named before.
func (m *masker) name(n string, still bool) {
	named := secretWord.MatchString(n)
	m.named, m.told = named || still, still && !named
	if named && m.insert == insertBegan && m.parens > 0 {
		m.insert = insertSecrets
	}
}

func (m *masker) punctuation(p string) {
	switch p {
	case "(":
		m.parens++
		m.named = m.named && m.told
	case "=", ":", "<", ">", "!":
		m.told = m.named
	case ",":
		m.named = m.named && m.key
		m.key, m.told = false, m.named
	case ";":
		m.named, m.key, m.insert = false, false, noInsert
	case ")":
		m.parens--
		m.named = false
	default:
		m.named = false
	}
}

// literal masks all of a literal, or what in it is secret. named stays: after a line break the next
// literal continues this one.
func (m *masker) literal(t token) {
	content := t.content()
	kept, found := "", m.named || m.all || m.insert == insertValues
	if !found {
		kept, found = cutSecret(content)
		m.key = NamesSecret(content) || found && strings.HasSuffix(kept, "%")
		m.named = m.key
	}
	if !found {
		m.out = append(m.out, t.text...)
		return
	}
	m.secret = true
	m.out = append(append(append(m.out, t.text[:t.open]...), kept...), masked(len(content)-len(kept))...)
	m.out = append(m.out, t.text[len(t.text)-t.shut:]...)
}

// comment masks what in a comment looks like a secret: statements that are commented out.
func (m *masker) comment(t token) {
	kept, found := cutSecret(t.text)
	if !found {
		m.out = append(m.out, t.text...)
		return
	}
	m.secret = true
	m.out = append(append(m.out, kept...), masked(len(t.text)-len(kept))...)
	if strings.HasPrefix(t.text, "/*") {
		m.out = append(m.out, "*/"...)
	}
}
