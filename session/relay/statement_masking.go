package relay

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"
	"strings"
	"sync"

	"gprxy/auth"
	"gprxy/pool/wire"
	"gprxy/session/sqltext"
	"gprxy/store"
)

// What of texts and values is kept: secrets are masked before anything else sees them.

// maskingKey makes the marks of what is masked. It is gprxy's alone, lives as long as its process, and
// stands nowhere.
var maskingKey = sync.OnceValue(func() []byte {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	return key
})

// maskingKeyOf is a person's own: who reads the log and runs statements too could else try guesses,
// and see which of them has the mark of somebody's password.
func maskingKeyOf(who auth.Identity) []byte {
	mac := hmac.New(sha256.New, maskingKey())
	for _, part := range []string{who.Method, who.Issuer, who.User} {
		mac.Write([]byte(part + "\x00"))
	}
	return mac.Sum(nil)
}

// masking gives the session's masker.
func (s *statements) masking() *sqltext.Masker {
	if s.masker == nil {
		s.masker = sqltext.NewMasker(s.config.Names, maskingKeyOf(s.who))
	}
	return s.masker
}

// The settings that decide where a literal ends.
const (
	conformingStrings = "standard_conforming_strings"
	serverVersion     = "server_version"
	clientEncoding    = "client_encoding"
)

// setting notes what PostgreSQL says of a setting.
func (s *statements) setting(name, value string) {
	switch name {
	case conformingStrings:
		s.settings.Backslashes = value == "off"
	case clientEncoding:
		s.names.recoded = s.names.recoded || s.settings.Encoding != "" && s.settings.Encoding != value
		s.settings.Encoding = value
	case serverVersion:
		major, _ := strconv.Atoi(value[:strings.IndexFunc(value+" ", func(r rune) bool { return r < '0' || r > '9' })])
		s.settings.OldNumbers = major > 0 && major < 16
	}
}

// reading is how PostgreSQL will read a text that comes now. It is unsure while anything that could
// change a setting is under way: the change is told at the next ReadyForQuery (or, by PostgreSQL 13, at once).
func (s *statements) reading() sqltext.Settings {
	now := s.settings
	now.Unsure = s.unsettled || s.desynced
	return now
}

// unsettles: what is sent can change settings, once it is there. Planning, which is the Bind's,
// runs functions.
func (s *statements) unsettles(act *action) {
	s.unsettled = s.unsettled || act.executes() || act.request == wire.Bind
}

// settle: all that was sent is done, and what it changed was told.
func (s *statements) settle() {
	if s.conv.owed.answered() && !s.desynced {
		s.unsettled = false
	}
}

// options is how a text is masked.
func (s *statements) options() sqltext.Options {
	o := sqltext.Options{Settings: s.reading()}
	if s.names.anySecret() {
		o.Executes = func(name string) (sqltext.Params, bool) {
			params, known := s.names.secretsOf(name)
			// Once the encoding has changed, other bytes may be that name, and these bytes another's.
			return params, known && (isASCII(name) || !s.names.recoded && !o.Unsure)
		}
	}
	return o
}

// take has the masked text.
func (p *prepared) take(m sqltext.Masked, n *names) {
	p.text, p.secret, p.params, p.twoReadings = m.Text, m.Hidden, m.Params, m.TwoReadings
	for _, inSQL := range m.Prepared {
		n.noteSecrets(inSQL.Name, inSQL.Params)
	}
	if p.name != "" {
		n.noteSecrets(sqltext.NameKey(p.name), p.params)
	}
}

// isSecret tells whether the text, or what is bound to it, may hold secrets. Then what
// PostgreSQL says of it is not kept.
func (p *prepared) isSecret() bool { return p != nil && (p.secret || !p.params.Empty()) }

// How many names of statements are remembered that take secrets.
const maxSecretNames = 1000

// noteSecrets: a statement of that name was, or perhaps will be, prepared, and these of its parameters
// are secret.
func (n *names) noteSecrets(name string, params sqltext.Params) {
	before, known := n.secrets[name]
	switch {
	case params.Empty():
		return
	case !known && len(n.secrets) >= maxSecretNames:
		n.manySecrets = true
		return
	case n.secrets == nil:
		n.secrets = make(map[string]sqltext.Params)
	}
	n.secrets[name] = before.Or(params)
}

func (n *names) anySecret() bool { return len(n.secrets) > 0 }

// secretsOf gives the parameters that are secret of the statement that EXECUTE in SQL calls so, and
// whether it is known. In SQL a name without quotes is in lower case; so n.secrets has all names.
func (n *names) secretsOf(name string) (sqltext.Params, bool) {
	if params, known := n.secrets[name]; known {
		return params, true
	}
	return nil, n.stmts[name] != nil && !n.manySecrets
}

// cutText is a text of which only the beginning and the end are kept, and a hash of all.
type cutText struct {
	stmt   *prepared
	hash   hash.Hash
	stream *sqltext.Stream
	over   bool
	seam   []byte // the last bytes of the part before, see lookForDrop
	first  bool   // a semicolon came, and perhaps the end of the first statement
	many   bool   // something came behind it
}

// lookForMore sees whether the text may have more than one statement.
func (c *cutText) lookForMore(part []byte) {
	for !c.many && len(part) > 0 {
		if c.first {
			c.many = len(bytes.Trim(part, afterStatement)) > 0
			return
		}
		at := bytes.IndexByte(part, ';')
		if c.first = at >= 0; !c.first {
			return
		}
		part = part[at:]
	}
}

// afterStatement is what may stand behind a statement that is the only one.
const afterStatement = "; \t\r\n"

// endCut keeps what is known of the whole text. The hash of one with a secret would tell whoever guesses the
// secret that they are right: of that, it is a keyed one.
func (s *statements) endCut(c *cutText) {
	m := c.stream.End()
	c.stmt.take(m, &s.names)
	if !c.many {
		c.stmt.count = 1
	}
	sum := c.hash.Sum(nil)
	if c.stmt.secret {
		c.stmt.keyedSum = s.masking().Sum(sum)
		return
	}
	c.stmt.sum = hex.EncodeToString(sum)
}

// cutShort: no more of a text will come. PostgreSQL never had all of it.
func (s *statements) cutShort() {
	if s.cutting != nil {
		s.endCut(s.cutting)
		s.cutting = nil
	}
}

// shown gives the bind values, but for those that stand where a secret does. It shows none if one
// of them says that others may be secret, or the text is not known.
func (s *statements) shown(act *action) []store.Param {
	hide := func(i int) bool { return act.stmt == nil || act.secret || act.stmt.params.Has(i+1) }
	first := 0
	for first < len(act.params) && !hide(first) {
		first++
	}
	if first == len(act.params) {
		return act.params
	}
	shown := slices.Clone(act.params)
	for i := first; i < len(shown); i++ {
		if p := shown[i]; hide(i) && !p.Null && !p.Cut {
			shown[i] = s.hidden(p)
		}
	}
	return shown
}

func (s *statements) hidden(p store.Param) store.Param {
	raw := p.Text
	if p.Base64 {
		if bytes, err := base64.StdEncoding.DecodeString(raw); err == nil {
			raw = string(bytes)
		}
	}
	return store.Param{Text: s.masking().HideValue(raw)}
}
