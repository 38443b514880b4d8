// .env in the working directory: read line by line, so that a mistake is told with its line number.

package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

const maxDotenv = 1 << 20 // bytes of a .env file

// dotenv is what a .env file gave. Its values may be secrets; problems and warnings hold none.
type dotenv struct {
	values   map[string]string
	problems []Problem
	warnings []string
}

// readDotenv reads the file at path. A missing file gives nothing; wrong lines are problems and the
// others still count, so that all mistakes can be told at once.
func readDotenv(path string) dotenv {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return dotenv{}
	}
	if err != nil {
		return brokenDotenv("cannot be read: " + err.Error())
	}
	if info.IsDir() {
		return dotenv{} // a folder of that name, often a Python environment, is not ours
	}
	if !info.Mode().IsRegular() {
		return brokenDotenv("is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return brokenDotenv("cannot be read: " + err.Error())
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxDotenv+1))
	if err != nil {
		return brokenDotenv("cannot be read: " + err.Error())
	}
	return parseDotenv(content)
}

func brokenDotenv(wrong string) dotenv {
	return dotenv{problems: []Problem{{".env", wrong, "make it a readable text file of NAME=value lines, or remove it"}}}
}

// fromDotenv gives the value of a setting that no stronger source than .env gives. It is not for secrets.
func (l *loader) fromDotenv(name string) (value string, ok bool) {
	for _, layer := range l.layers {
		if value, ok = layer.values[name]; ok {
			return value, layer.name == ".env" && value != ""
		}
	}
	return "", false
}

var (
	assignment = regexp.MustCompile(`^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*[=:][ \t]*`)
	reference  = regexp.MustCompile(`\$\{?[A-Z0-9_]`)
)

// parseDotenv checks each statement itself, because godotenv's errors have no line and quote the
// text, which may be a password; godotenv then reads what is well-formed.
func parseDotenv(content []byte) dotenv {
	if len(content) > maxDotenv {
		return brokenDotenv("is larger than 1 MB")
	}
	lines := strings.Split(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")
	lines[0] = strings.TrimPrefix(lines[0], "\ufeff")
	var d dotenv
	var good strings.Builder
	for at := 0; at < len(lines); {
		used, wrong := d.statement(lines[at:], at+1)
		if wrong != "" {
			d.problems = append(d.problems, Problem{fmt.Sprintf(".env:%d", at+1), wrong,
				"write NAME=value, with quotes around a value that holds spaces or #; # starts a comment"})
			used = 1
		} else {
			good.WriteString(strings.Join(lines[at:at+used], "\n") + "\n")
		}
		at += used
	}
	values, err := godotenv.Unmarshal(good.String())
	if err != nil {
		return brokenDotenv("cannot be understood") // err quotes the text
	}
	d.values = values
	return d
}

// statement judges the statement that starts at lines[0] and returns how many lines it takes, or what
// is wrong with it.
func (d *dotenv) statement(lines []string, number int) (used int, wrong string) {
	line := strings.TrimSpace(lines[0])
	if line == "" || strings.HasPrefix(line, "#") {
		return 1, ""
	}
	if strings.ContainsAny(lines[0], "\r\x00") {
		return 0, "holds a control character"
	}
	m := assignment.FindStringSubmatch(lines[0])
	if m == nil || m[1] == "export" { // godotenv takes "export =x" for a variable without a name
		return 0, "is not NAME=value"
	}
	value := lines[0][len(m[0]):]
	used = 1
	quoted := value != "" && (value[0] == '\'' || value[0] == '"')
	if quoted {
		if used, wrong = closingQuote(value, lines); wrong != "" {
			return 0, wrong
		}
	}
	if (!quoted || value[0] == '"') && reference.MatchString(strings.Join(lines[:used], "\n")) {
		d.warnings = append(d.warnings, fmt.Sprintf(
			".env:%d: a $ in the value of %s is replaced by another variable of the file; put the value in single quotes to keep it as it is",
			number, m[1]))
	}
	return used, ""
}

// closingQuote finds where a quoted value ends, by godotenv's rule: the next such quote that has no
// backslash before it. Only a comment may follow on its line.
func closingQuote(value string, lines []string) (used int, wrong string) {
	quote := value[0]
	from := 1
	for used = 1; ; used++ {
		for i := from; i < len(value); i++ {
			if value[i] != quote || i > 0 && value[i-1] == '\\' {
				continue
			}
			rest := strings.TrimSpace(value[i+1:])
			if rest != "" && rest[0] != '#' {
				return 0, "has text after the closing quote"
			}
			return used, ""
		}
		if used == len(lines) {
			return 0, "has an opening quote that is never closed"
		}
		value, from = lines[used], 0
	}
}
