// The detail of an event in words, for the table of `gprxy audit`.

package export

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gprxy/cmd/terminal"
	"gprxy/store"
)

// wording puts the payload of one event type into words.
type wording func(payload json.RawMessage) (string, error)

// words has every event type there is.
var words = map[string]wording{
	store.ProxyStarted{}.Type(): say(func(f store.ProxyStarted) string {
		return fmt.Sprintf("gprxy %s listens on %s for %s, pid %d", f.Version, f.Listen, f.Upstream, f.PID)
	}),
	store.ProxyStopped{}.Type():     say(func(f store.ProxyStopped) string { return "proxy stopped: " + terminal.InWords(f.Reason) }),
	store.SessionConnected{}.Type(): say(sayConnected),
	store.AuthSucceeded{}.Type():    say(sayAuthSucceeded),
	store.AuthFailed{}.Type():       say(sayAuthFailed),
	store.RoleMapped{}.Type():       say(sayRoleMapped),
	store.RoleDenied{}.Type():       say(sayRoleDenied),
	store.SessionStarted{}.Type():   say(saySessionStarted),
	store.ReplicationStarted{}.Type(): say(func(f store.ReplicationStarted) string {
		return fmt.Sprintf("%s replication by backend %d as %s", f.Kind, f.BackendPID, f.ServiceAccount)
	}),
	store.AccountAltered{}.Type(): say(sayAccountAltered),
	store.SessionRefused{}.Type(): say(saySessionRefused),
	store.CancelForwarded{}.Type(): say(func(f store.CancelForwarded) string {
		return fmt.Sprintf("cancel from %s sent to backend %d", f.Client, f.BackendPID)
	}),
	store.CancelRejected{}.Type(): say(func(f store.CancelRejected) string {
		return fmt.Sprintf("cancel from %s for backend %d rejected: %s", f.Client, f.BackendPID, terminal.InWords(f.Reason))
	}),
	store.SessionEnded{}.Type():       say(saySessionEnded),
	store.StatementsExecuted{}.Type(): say(sayExecuted),
	store.StatementStarted{}.Type():   say(func(f store.Statement) string { return "about to run: " + sayText(f) }),
	store.LogRead{}.Type():            say(sayLogRead),
	store.LogPruned{}.Type(): say(func(f store.LogPruned) string {
		return fmt.Sprintf("%s pruned events %d to %d, from before %s", f.By, f.FirstSeq, f.LastSeq, terminal.ShortTime(f.Before))
	}),
	store.LogCondensed{}.Type(): say(sayLogCondensed),
	store.LogGap{}.Type():       say(sayLogGap),
	store.LogCheckpointed{}.Type(): say(func(f store.LogCheckpointed) string {
		return fmt.Sprintf("checkpoint of event %d signed with key %s", f.Seq, f.KeyID)
	}),
}

// Types are the types of all events.
func Types() []string {
	types := make([]string, 0, len(words))
	for t := range words {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

func say[F any](in func(F) string) wording {
	return func(payload json.RawMessage) (string, error) {
		var f F
		if err := json.Unmarshal(payload, &f); err != nil {
			return "", err
		}
		return in(f), nil
	}
}

// Describe gives the detail of an event in words. It falls back to the payload itself for what this version does not know.
func Describe(kind string, payload json.RawMessage) string {
	if in, ok := words[kind]; ok {
		if text, err := in(payload); err == nil {
			return text
		}
	}
	return string(payload)
}

func sayConnected(f store.SessionConnected) string {
	text := "asks for " + f.RequestedUser + " on " + f.Database
	if f.ApplicationName != "" {
		text += " with " + f.ApplicationName
	}
	if f.TLS == "" {
		return text + ", no TLS"
	}
	return text + ", " + f.TLS
}

// sayAuthSucceeded leaves the person out: the table has a column for it.
func sayAuthSucceeded(f store.AuthSucceeded) string {
	text := "by " + f.Method
	if len(f.Roles) > 0 {
		text += ", roles " + strings.Join(f.Roles, ",")
	}
	if f.RolesIgnored > 0 {
		text += fmt.Sprintf(", %d that can be no role", f.RolesIgnored)
	}
	if f.UserSpelled != "" {
		text += ", spelled " + f.UserSpelled
	}
	if f.TokenExpires != nil {
		text += ", expires " + terminal.ShortTime(*f.TokenExpires)
	}
	return text
}

func sayAuthFailed(f store.AuthFailed) string {
	text := f.Method + " refused: " + terminal.InWords(f.Reason)
	if f.Detail != "" {
		text += " (" + f.Detail + ")"
	}
	return text
}

func sayRoleMapped(f store.RoleMapped) string {
	if f.Role == "" {
		return fmt.Sprintf("a password login is served by %s", f.ServiceAccount)
	}
	return fmt.Sprintf("role %s is served by %s (%s)", f.Role, f.ServiceAccount, terminal.InWords(f.Rule))
}

func sayRoleDenied(f store.RoleDenied) string {
	roles := "no roles"
	if len(f.Roles) > 0 {
		roles = "roles " + strings.Join(f.Roles, ",")
	}
	return fmt.Sprintf("denied: %s (%s, asked for %s)", terminal.InWords(f.Reason), roles, f.RequestedUser)
}

func saySessionStarted(f store.SessionStarted) string {
	kind := "new"
	if f.Reused {
		kind = "reused"
	}
	return fmt.Sprintf("%s backend %d as %s after %s, %s", kind, f.BackendPID, f.ServiceAccount, terminal.Milliseconds(f.WaitMS), f.Backend)
}

func sayAccountAltered(f store.AccountAltered) string {
	account := f.Account
	if account == "" {
		account = "a role that is not known"
	}
	return fmt.Sprintf("%s altered as %s: %s (%s)", account, f.ServiceAccount, strings.ReplaceAll(strings.Join(f.What, ", "), "_", " "), f.Tag)
}

func saySessionRefused(f store.SessionRefused) string {
	return fmt.Sprintf("refused: %s (%s %s)", terminal.InWords(f.Reason), f.SQLState, f.Message)
}

func saySessionEnded(f store.SessionEnded) string {
	if f.Reason == store.EndAborted {
		return "ended: aborted, the proxy died"
	}
	text := fmt.Sprintf("ended: %s, %s, %s", terminal.InWords(f.Reason), terminal.Counted(f.Statements, "statement"),
		terminal.Milliseconds(f.DurationMS))
	if f.Errors > 0 {
		text += ", " + terminal.Counted(f.Errors, "error")
	}
	if f.Doubt != "" {
		text += "; in doubt: " + f.Doubt
	}
	return text
}

// sayExecuted is about one statement: the reader takes those of an event apart.
func sayExecuted(f store.Statement) string {
	switch f.Kind {
	case store.KindParse:
		return strings.TrimSpace("prepared: " + sayText(f) + " " + f.Outcome)
	case store.KindBind:
		return strings.TrimSpace("bound: " + sayText(f) + " " + f.Outcome)
	}
	text := sayText(f) + " (" + terminal.Milliseconds(float64(f.US)/1000)
	if f.Rows > 0 {
		text += ", " + terminal.Counted(f.Rows, "row")
	}
	if f.Outcome != "" {
		text += ", " + strings.TrimSpace(f.Outcome+" "+f.SQLState)
	}
	if f.Message != "" {
		text += ": " + f.Message
	}
	if f.Doubt != "" {
		text += "; in doubt: " + f.Doubt
	}
	if f.Masking != "" {
		text += "; masked in " + f.Masking
	}
	if f.Encoding != "" {
		text += "; encoding: " + f.Encoding
	}
	return text + ")"
}

// sayText is the statement's text on one line.
func sayText(f store.Statement) string {
	if f.SQL == "" {
		return strings.TrimSpace(f.Kind + " " + f.Tag)
	}
	return strings.Join(strings.Fields(f.SQL), " ")
}

func sayLogRead(f store.LogRead) string {
	return strings.TrimSpace(fmt.Sprintf("%s ran gprxy %s %s", f.OSUser, f.Command, f.Filter))
}

func sayLogCondensed(f store.LogCondensed) string {
	from := "several addresses"
	if f.Client != "" {
		from = f.Client
	}
	return fmt.Sprintf("%d times %s (%s) from %s within %s, counted instead of recorded one by one",
		f.Count, f.Of, terminal.InWords(f.Reason), from, terminal.Span(f.Last.Sub(f.First)))
}

func sayLogGap(f store.LogGap) string {
	if f.Reason == store.GapKilled {
		return fmt.Sprintf("the proxy was killed between %s and %s: of %s, statements of the last %d ms may be missing",
			terminal.ShortTime(f.Since), terminal.ShortTime(f.Until), terminal.Counted(f.Sessions, "open session"), f.WindowMS)
	}
	text := fmt.Sprintf("the log could not be written from %s to %s", terminal.ShortTime(f.Since), terminal.ShortTime(f.Until))
	if f.Lost > 0 {
		text += ": " + terminal.Counted(f.Lost, "event") + " lost"
	}
	return text
}
