// The .env file: what is read, and how its mistakes are told.

package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDotenv(t *testing.T) {
	for _, row := range []struct {
		name, file string
		want       map[string]string
		problems   string // "line wrong" joined by "; "
	}{
		{"plain", "A=1\nB = two words # comment\n\n# comment\nexport C=3", map[string]string{"A": "1", "B": "two words", "C": "3"}, ""},
		{"quotes", "A=\"x # y\"\nB='a$B'\n", map[string]string{"A": "x # y", "B": "a$B"}, ""},
		{"several lines", "A='one\ntwo' # end\nB=2", map[string]string{"A": "one\ntwo", "B": "2"}, ""},
		{"Windows", "\ufeffA=1\r\nB=2\r\n", map[string]string{"A": "1", "B": "2"}, ""},
		{"reference", "A=x\nB=${A}y", map[string]string{"A": "x", "B": "xy"}, ""},
		{"empty value", "A=\nB=1", map[string]string{"A": "", "B": "1"}, ""},
		{"no equals sign", "A=1\ntopsecret\nB=2", map[string]string{"A": "1", "B": "2"}, "2 is not NAME=value"},
		{"space in a name", "DB HOST=topsecret", map[string]string{}, "1 is not NAME=value"},
		{"digit first", "1A=topsecret", map[string]string{}, "1 is not NAME=value"},
		{"open quote", "A=1\nB='topsecret\nC=3", map[string]string{"A": "1", "C": "3"}, "2 has an opening quote that is never closed"},
		{"text after quote", "A='x'topsecret", map[string]string{}, "1 has text after the closing quote"},
		{"two mistakes", "-\nA=1\n=x", map[string]string{"A": "1"}, "1 is not NAME=value; 3 is not NAME=value"},
		{"export of nothing", "export =topsecret", map[string]string{}, "1 is not NAME=value"},
		{"NUL", "A=\x00", map[string]string{}, "1 holds a control character"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := parseDotenv([]byte(row.file))
			var problems []string
			for _, p := range got.problems {
				problems = append(problems, strings.TrimPrefix(p.Variable, ".env:")+" "+p.Wrong)
				if strings.Contains(fmt.Sprint(p), "topsecret") {
					t.Errorf("a problem quotes the file: %v", p)
				}
			}
			if fmt.Sprint(got.values) != fmt.Sprint(row.want) || strings.Join(problems, "; ") != row.problems {
				t.Errorf("values %q, problems %q", got.values, problems)
			}
		})
	}
}

func TestDotenvMistakesStopStart(t *testing.T) {
	env := surroundings(t, enough...)
	write(t, filepath.Join(env.Dir, ".env"), "DB_HOST=ok\nDB_PORT=no\ngarbage\n")
	_, _, err := load(t, env)
	if err == nil || !strings.Contains(err.Error(), `DB_PORT is "no"`) || !strings.Contains(err.Error(), ".env:3 is not NAME=value") {
		t.Errorf("error %v, want both mistakes", err)
	}
}

func TestDotenvThatIsNoFile(t *testing.T) {
	env := surroundings(t, enough...)
	if err := os.Mkdir(filepath.Join(env.Dir, ".env"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := load(t, env); err != nil {
		t.Errorf("a folder named .env: %v", err)
	}
}

func FuzzDotenv(f *testing.F) {
	for _, seed := range []string{"A=1", "A='x\ny'", "A=\"\\\"\"", "=", "A", "export A=1 # c", "A=$A${B}$(C)", "\ufeff", "A='''", "a:b",
		"export =", "\r\n\x00", "#\n#"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		d := parseDotenv(file)
		for _, p := range d.problems {
			if p.Wrong == "cannot be understood" {
				t.Errorf("godotenv refuses what statement accepted: %q", file)
			}
		}
		for name := range d.values {
			if !assignment.MatchString(name + "=") {
				t.Errorf("name %q out of %q", name, file)
			}
		}
	})
}

func FuzzParseMapping(f *testing.F) {
	for _, seed := range []string{"a:b", ":", "a:", ":b", "a", "a:b:c", "a\n:b", " a:b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		login, bad := parseMapping(text)
		if bad == nil && login.User+":"+login.Password.Reveal() != text {
			t.Errorf("%q became %q and %q", text, login.User, login.Password.Reveal())
		}
		if bad != nil && (login.User != "" || login.Password != "") {
			t.Errorf("%q is refused, yet gives a login", text)
		}
	})
}
