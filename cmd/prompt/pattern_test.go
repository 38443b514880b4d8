package prompt

import (
	"regexp"
	"testing"
)

func TestPatterns(t *testing.T) {
	for text, want := range map[string]namePattern{
		"":             {},
		"Item":         {name: "^(item)$"},
		`"Item"`:       {name: "^(Item)$"},
		`"a""b.c"`:     {name: `^(a"b\.c)$`},
		"shop.*":       {schema: "^(shop)$", name: "^(.*)$"},
		"it?m*":        {name: "^(it.m.*)$"},
		"Größe":        {name: "^(größe)$"},
		"a+b$":         {name: `^(a\+b\$)$`},
		`shop."a b"`:   {schema: "^(shop)$", name: "^(a b)$"},
		`"sh op".item`: {schema: "^(sh op)$", name: "^(item)$"},
	} {
		want.text = text
		if got, ok := parsePattern(text); !ok || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{`"open`, "a.b.c", ".a", "a.", "a b", "\"\x90\""} {
		if got, ok := parsePattern(text); ok {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, text := range []string{"a", `"A".b`, "a*?", `"`, ".", "(", `\`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parsePattern(text)
		if !ok {
			return
		}
		for _, expression := range []string{p.schema, p.name} {
			if _, err := regexp.Compile(expression); err != nil && expression != "" {
				t.Errorf("%q becomes %q: %v", text, expression, err)
			}
		}
	})
}
