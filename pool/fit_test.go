// Settings in the words that a database has.
package pool_test

import (
	"strings"
	"testing"

	"gprxy/pool"
)

// A name that the encoding lacks is stamped in escaped form; one that it has, as it is. And no two become one.
func TestASettingFitsTheEncodingOfTheDatabase(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"LATIN1", "LATIN2", "WIN1251", "EUC_JP", "SQL_ASCII", "UTF8"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			name := "encoded_" + strings.ToLower(encoding)
			admin(t, server, "postgres", "CREATE DATABASE "+name+" ENCODING '"+encoding+"' LOCALE 'C' TEMPLATE template0")
			p := newPools(t, config())
			for given, want := range map[string]map[string]string{
				`ann\eve`:      {"": `ann\eve`},
				"jürgen":       {"": `j\u00FCrgen`, "LATIN1": "jürgen", "LATIN2": "jürgen", "UTF8": "jürgen", "SQL_ASCII": "jürgen"},
				"Łucja":        {"": `\u0141ucja`, "LATIN2": "Łucja", "UTF8": "Łucja", "SQL_ASCII": "Łucja"},
				"Юрий":         {"": `\u042E\u0440\u0438\u0439`, "WIN1251": "Юрий", "UTF8": "Юрий", "SQL_ASCII": "Юрий"},
				"\U00020BB7":   {"": `\U00020BB7`, "UTF8": "\U00020BB7", "SQL_ASCII": "\U00020BB7"},
				`j\u00FCrgen`:  {"": `j\u005Cu00FCrgen`, "UTF8": `j\u00FCrgen`, "SQL_ASCII": `j\u00FCrgen`},
				"j\xfcrgen":    {"": `j\xFCrgen`},
				"half\xe2\x82": {"": `half\xE2\x82`},
			} {
				l := acquire(t, p, request(database(name), setting("gprxy.user", given)))
				expected, known := want[encoding]
				if !known {
					expected = want[""]
				}
				if value := ask(t, l, "SET client_encoding TO 'UTF8'; SELECT current_setting('gprxy.user')"); value != expected {
					t.Errorf("%q is %q, want %q", given, value, expected)
				}
				release(t, l)
			}
		})
	}
}

// What is sent as it is can be converted by PostgreSQL, each letter of each encoding.
func TestPostgreSQLHasEachLetterThatIsNotEscaped(t *testing.T) {
	t.Parallel()
	for encoding, letters := range pool.Letters() {
		rows, err := server.Query(t.Context(), "postgres", "SELECT convert_from(convert_to('"+letters+"', '"+encoding+"'), '"+encoding+"')")
		if err != nil || rows[0][0] != letters {
			t.Errorf("%s: %q came back of %q, %v", encoding, rows, letters, err)
		}
	}
}
