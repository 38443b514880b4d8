package relay

import (
	"bytes"
	"testing"

	"gprxy/auth"
)

// Who can run statements and read the log cannot try guesses at the secrets of others.
func TestMarksArePersons(t *testing.T) {
	key := maskingKeyOf(auth.Identity{Method: auth.MethodToken, Issuer: "https://a", User: "bob"})
	if !bytes.Equal(key, maskingKeyOf(auth.Identity{Method: auth.MethodToken, Issuer: "https://a", User: "bob", TokenID: "another"})) {
		t.Error("a person's key changes from session to session")
	}
	for _, other := range []auth.Identity{{Method: auth.MethodToken, Issuer: "https://a", User: "eve"},
		{Method: auth.MethodToken, Issuer: "https://b", User: "bob"},
		{Method: auth.MethodPassword, User: "bob"}, {}} {
		if bytes.Equal(key, maskingKeyOf(other)) {
			t.Errorf("%+v has the key of another", other)
		}
	}
}

// However many names are prepared for secrets, memory is bounded and their arguments are masked.
func TestManyNamesForSecrets(t *testing.T) {
	c, _ := listen(RecordText, false)
	defer c.record.done.close()
	for i := range 2 * maxSecretNames {
		c.record.prepare("s"+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676)), []byte("select 1 where token = $1\x00"))
	}
	if n := len(c.record.names.secrets); n != maxSecretNames {
		t.Errorf("%d names are remembered", n)
	}
	c.record.names.setStatement("last", c.record.prepare("last", []byte("select 1 where token = $1\x00")))
	for _, text := range []string{"execute saaa('hunter2')", "execute last('hunter2')", "execute other('hunter2')"} {
		if p := c.record.prepare("", []byte(text+"\x00")); bytes.Contains([]byte(p.text), []byte("hunter2")) {
			t.Errorf("%s is kept as %s", text, p.text)
		}
	}
}
