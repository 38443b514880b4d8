package relay

import (
	"regexp"
	"slices"
	"strings"

	"gprxy/session/sqltext"
	"gprxy/store"
)

// Whoever is served by an account may change it: ALTER ROLE CURRENT_USER PASSWORD gives a way into PostgreSQL past gprxy, and
// locks gprxy out. No proxy can forbid that; it is recorded as an event of its own, whether statements are recorded or not.
// PostgreSQL's command tag says that it was done, and the text what it was. Inside DO only the text can tell.

const (
	// So many changes of settings alone are told of one session. All others are.
	maxAlterations = 1000
	// So many are told apart while they are under way.
	maxAltering = 16
)

// accountWatch looks for changes of accounts in one session. The conversation's mu guards it.
type accountWatch struct {
	service string // the account that serves the session
	tell    func(store.AccountAltered)

	underWay []alteration
	parsed   []alteration // that stood in a Parse: an Execute may run any of them, now or later
	refused  bool         // there was an error since the last rest, so whose a tag is cannot be told by the order
	told     int          // changes of settings
}

// alteration is one ALTER ROLE in a text.
type alteration struct {
	account string
	what    []string
	inCode  bool // the text is a DO
}

// sent notes what a text that is sent on would change.
func (w *accountWatch) sent(text []byte, parse bool) {
	for i, b := range text {
		if b|0x20 == 'a' && hasWord(text[i:], "alter") {
			found := alterationsIn(string(text))
			w.underWay = append(w.underWay, found...)
			w.underWay = w.underWay[:min(len(w.underWay), maxAltering)]
			if parse {
				w.keep(found)
			}
			return
		}
	}
}

func (w *accountWatch) keep(found []alteration) {
	w.parsed = append(w.parsed, found...)
	if len(w.parsed) > maxAltering {
		w.parsed = []alteration{anyOf(w.parsed)}
	}
}

// anyOf says what any of several would have changed: it may say too much, never too little.
func anyOf(all []alteration) alteration {
	sum := all[0]
	sum.what = slices.Clone(sum.what)
	for _, a := range all[1:] {
		if a.account != sum.account {
			sum.account = ""
		}
		for _, what := range a.what {
			if !slices.Contains(sum.what, what) {
				sum.what = append(sum.what, what)
			}
		}
	}
	return sum
}

// done takes the body of a CommandComplete.
func (w *accountWatch) done(tag []byte) {
	switch string(tag) {
	case "ALTER ROLE\x00":
		next := alteration{what: []string{store.AlteredUnknown}}
		all := w.parsed
		switch known := len(w.underWay) > 0 && !w.underWay[0].inCode; {
		case w.refused:
			all = slices.Concat(w.underWay, all) // none is taken off
		case known:
			all = slices.Concat(w.underWay[:1], all)
			w.underWay = w.underWay[1:]
		}
		if len(all) > 0 {
			next = anyOf(all)
		}
		w.altered(next, "ALTER ROLE")
	case "DO\x00":
		for len(w.underWay) > 0 && w.underWay[0].inCode {
			w.altered(w.underWay[0], "DO")
			w.underWay = w.underWay[1:]
		}
	}
}

func (w *accountWatch) altered(a alteration, tag string) {
	if len(a.what) == 1 && a.what[0] == store.AlteredSettings {
		if w.told++; w.told > maxAlterations {
			return
		}
	}
	account := a.account
	switch strings.ToLower(account) {
	case "current_user", "current_role", "session_user", "user":
		account = w.service
	}
	w.tell(store.AccountAltered{Account: account, ServiceAccount: w.service, What: a.what, Tag: tag})
}

// rest: nothing is under way any more.
func (w *accountWatch) rest() { w.underWay, w.refused = nil, false }

const gap = `(?:\s|/\*.*?\*/|--[^\n]*\n)+`

var alterRole = regexp.MustCompile(`(?is)\balter` + gap + `(?:role|user)` + gap + `("(?:[^"]|"")+"|[^\s;"]+)([^;]*)`)

// alterationsIn finds each ALTER ROLE and ALTER USER in a text, also in the body of a DO. What only stands in a literal or a comment
// beside one is taken for a part of it, as is all of a text that cannot be taken apart for certain.
func alterationsIn(text string) []alteration {
	found := mentionsIn(text, maxAltering)
	if len(found) < 2 || found[0].inCode {
		return found
	}
	parts := sqltext.Split(text, sqltext.Settings{Unsure: true})
	if parts == nil {
		return slices.Repeat([]alteration{anyOf(found)}, len(found))
	}
	var all []alteration
	for _, part := range parts {
		found := mentionsIn(part, maxAltering)
		switch words := sqltext.Words(part, 1); {
		case len(found) == 0 || len(words) == 0:
		case words[0] == "do":
			for _, a := range found {
				a.inCode = true
				all = append(all, a)
			}
		case words[0] == "alter":
			all = append(all, anyOf(found))
		}
	}
	return all
}

// mentionsIn finds whatever looks like an ALTER ROLE. A mention may stand in the text of another, for the first may be in a comment;
// those that do so deeper than is looked say that something unknown was altered.
func mentionsIn(text string, deep int) (all []alteration) {
	if deep == 0 {
		if alterRole.MatchString(text) {
			all = []alteration{{what: []string{store.AlteredUnknown}}}
		}
		return all
	}
	inCode := strings.HasPrefix(strings.ToLower(strings.TrimLeft(text, " \t\r\n;")), "do")
	for _, m := range alterRole.FindAllStringSubmatch(text, maxAltering) {
		name, rest := m[1], strings.ToLower(literal.ReplaceAllString(m[2], " "))
		if strings.EqualFold(name, "mapping") && strings.HasPrefix(strings.TrimSpace(rest), "for") {
			continue // ALTER USER MAPPING
		}
		if strings.EqualFold(name, "u&") { // U&"…", which is not decoded
			name = `""`
		}
		all = append(all, alteration{account: roleName(name), what: whatIsAltered(rest), inCode: inCode})
		all = append(all, mentionsIn(m[2], deep-1)...)
	}
	return all
}

var literal = regexp.MustCompile(`(?s)'(?:[^']|'')*'`)

// roleName is a name as PostgreSQL keeps it.
func roleName(name string) string {
	if quoted, ok := strings.CutPrefix(name, `"`); ok {
		return nameInSQL(strings.ReplaceAll(strings.TrimSuffix(quoted, `"`), `""`, `"`))
	}
	return nameInSQL(strings.ToLower(name))
}

// altering says which words change what of a role.
var altering = []struct {
	what  string
	words *regexp.Regexp
}{
	{store.AlteredPassword, regexp.MustCompile(`\bpassword\b`)},
	{store.AlteredLogin, regexp.MustCompile(`\b(?:no)?login\b`)},
	{store.AlteredValidUntil, regexp.MustCompile(`\bvalid\s+until\b`)},
	{store.AlteredName, regexp.MustCompile(`^\s*rename\s+to\b`)},
	{store.AlteredConnectionLimit, regexp.MustCompile(`\bconnection\s+limit\b`)},
	{store.AlteredRights, regexp.MustCompile(`\b(?:no)?(?:superuser|createdb|createrole|inherit|replication|bypassrls)\b`)},
}

var settingOfRole = regexp.MustCompile(`(?s)^\s*(?:in\s+database\s+\S+\s+)?(?:set|reset)\b`)

// whatIsAltered reads what stands behind the name of the role, in lower case and without literals.
func whatIsAltered(rest string) (what []string) {
	if settingOfRole.MatchString(rest) {
		return []string{store.AlteredSettings}
	}
	for _, a := range altering {
		if a.words.MatchString(rest) {
			what = append(what, a.what)
		}
	}
	if len(what) == 0 {
		what = []string{store.AlteredUnknown}
	}
	return what
}

// WatchAccounts has changes of accounts told of; service is the account that serves the session. tell is called under a lock of
// the relay's, and must not wait.
func (r *Relay) WatchAccounts(service string, tell func(store.AccountAltered)) {
	r.conversation.accounts = &accountWatch{service: service, tell: tell}
}
