package sso

import (
	"strings"
	"testing"
)

func TestWhatIsShownIsShort(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("x", maxShown):          `"` + strings.Repeat("x", maxShown) + `"`,
		strings.Repeat("x", maxShown+1):        `"` + strings.Repeat("x", maxShown) + `…"`,
		strings.Repeat("x", maxShown-1) + "éé": `"` + strings.Repeat("x", maxShown-1) + `…"`, // no half of a character
		"a\n\x1b[2J\u202e":                     `"a\n\x1b[2J\u202e"`,
	} {
		if got := shown(text); strings.ReplaceAll(got, `"…`, `…"`) != want {
			t.Errorf("%q is shown as %s", text, got)
		}
	}
}
