// The values of labels, each from a set that nobody outside can make larger without bound.

package metrics

import (
	"slices"
	"strings"
	"sync"

	"gprxy/auth"
)

const (
	resultOK, resultFailed          = "ok", "failed"
	cancelForwarded, cancelRejected = "forwarded", "rejected"

	otherName = "other"
	ownName   = "own" // people's own accounts (PASSWORD_ACCOUNT=self)

	maxDatabases = 200 // who may make databases may make any number
	maxReasons   = 100 // gprxy has about sixty
)

// methods are how people prove who they are.
var methods = []string{auth.MethodToken, auth.MethodOAuth, auth.MethodDevice, auth.MethodPassword}

// names keeps labels within bounds.
type names struct {
	accounts map[string]string // labels by name

	mu        *sync.Mutex // guards what follows
	databases map[string]struct{}
	reasons   map[string]struct{}
}

func newNames(accounts []string) names {
	known := map[string]string{}
	for _, name := range accounts {
		known[name] = strings.ToValidUTF8(name, "\uFFFD") // a label is UTF-8, a role's name need not be
	}
	return names{accounts: known, mu: new(sync.Mutex), databases: map[string]struct{}{}, reasons: map[string]struct{}{}}
}

func (n *names) account(name string) string {
	if name == "" {
		return ""
	}
	if label, known := n.accounts[name]; known {
		return label
	}
	return ownName
}

// database is called for databases that PostgreSQL has: a session was served in it.
func (n *names) database(name string) string { return n.bounded(n.databases, name, maxDatabases) }

// reason is a word of the event log. Of PostgreSQL's own refusals, which are named after their SQLSTATE, the class is enough.
func (n *names) reason(word string) string {
	if code, ok := strings.CutPrefix(word, "postgresql_"); ok && len(code) == 5 {
		word = "postgresql_class_" + code[:2]
	}
	return n.bounded(n.reasons, word, maxReasons)
}

func (n *names) method(word string) string {
	if slices.Contains(methods, word) {
		return word
	}
	return otherName
}

func (n *names) bounded(known map[string]struct{}, name string, most int) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, is := known[name]; is {
		return name
	}
	if len(known) >= most {
		return otherName
	}
	known[strings.ToValidUTF8(name, "?")] = struct{}{}
	return strings.ToValidUTF8(name, "?")
}
