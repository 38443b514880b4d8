// Where settings come from: flags, then the environment, then .env, then the default.

package settings

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Sources is where Load looks, strongest first.
type Sources struct {
	Flags     *pflag.FlagSet // only flags that were given count; may be nil
	Variables []string       // NAME=value, as os.Environ gives them
	Dir       string         // the working directory, where .env is looked for
}

// Load reads and checks the settings of `gprxy start`. The error is a *Error that names every
// wrong or missing setting. The warnings are sentences about settings that are fine but probably
// not what was meant; they come back in both cases and hold no secret.
func Load(src Sources) (Settings, []string, error) {
	l := gather(src)
	s := Settings{}
	for _, row := range Table() {
		l.fill(&s, row)
	}
	checkSettings(&s, l)
	l.warnTypos()
	l.problems = append(l.problems, l.dotenv.problems...)
	if len(l.problems) > 0 {
		return Settings{}, l.warnings, &Error{Problems: l.problems}
	}
	s.SecretFiles = l.secretFiles
	return s, l.warnings, nil
}

// LoadOnly finds only the named settings, for the commands that read the log: others may be wrong or
// missing on the machine of somebody who only wants to look.
func LoadOnly(src Sources, names ...string) (Settings, []string, error) {
	l := gather(src)
	s := Settings{}
	for _, row := range Table() {
		if slices.Contains(names, row.Name) {
			l.fill(&s, row)
		}
	}
	for _, p := range l.dotenv.problems {
		l.warn("%s %s", p.Variable, p.Wrong)
	}
	// Whoever looks at a log must not be shown another one by the folder they happen to be in.
	if _, told := l.fromDotenv("EVENT_LOG"); told {
		l.warn("the event log is %s, as EVENT_LOG in %s says", s.EventLog, filepath.Join(src.Dir, ".env"))
	}
	if len(l.problems) > 0 {
		return Settings{}, l.warnings, &Error{Problems: l.problems}
	}
	return s, l.warnings, nil
}

// loader carries the given values and collects what is wrong with them.
type loader struct {
	environ map[string]string
	dir     string
	layers  []layer // strongest first
	dotenv  dotenv
	// tenantIssuer is the issuer that AUTH0_TENANT stands for.
	tenantIssuer string
	// secretFiles are the NAME_FILE variants that were read, by NAME.
	secretFiles map[string]secretFile
	problems    []Problem
	warnings    []string
}

// layer is one source: the values it gives by variable name.
type layer struct {
	name   string
	values map[string]string
}

func gather(src Sources) *loader {
	l := &loader{environ: environValues(src.Variables), dir: src.Dir}
	l.dotenv = readDotenv(filepath.Join(src.Dir, ".env"))
	l.layers = []layer{
		{name: "flags", values: flagValues(src.Flags)},
		{name: "environment", values: l.environ},
		{name: ".env", values: l.dotenv.values},
	}
	l.warnings = append(l.warnings, l.dotenv.warnings...)
	return l
}

// home is the home folder, or "".
func (l *loader) home() string { return l.environ["HOME"] }

func flagValues(fs *pflag.FlagSet) map[string]string {
	values := map[string]string{}
	if fs == nil {
		return values
	}
	for _, row := range Table() {
		if !row.HasFlag() {
			continue
		}
		if f := fs.Lookup(row.Flag()); f != nil && f.Changed {
			values[row.Name] = f.Value.String()
		}
	}
	return values
}

func environValues(environ []string) map[string]string {
	values := make(map[string]string, len(environ))
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok && name != "" {
			values[name] = value
		}
	}
	return values
}

// given is a value as it was found. Its text may be a secret.
type given struct {
	variable string // NAME or NAME_FILE, for messages
	text     string
}

// lookup finds the strongest value of a variable. An empty value hides the weaker sources and means
// the default, so that `PROXY_CERT= gprxy start` turns off what .env says.
func (l *loader) lookup(row Row, name string) (given, bool) {
	for _, layer := range l.layers {
		value, plain := layer.values[name]
		path, file := "", false
		if row.Secret {
			path, file = layer.values[name+"_FILE"]
		}
		switch {
		case plain && value != "" && file && path != "":
			l.problem(name, "and "+name+"_FILE are both set in the "+layer.name, "keep one of the two")
			return given{}, false
		case file && path != "":
			return l.secretFile(name+"_FILE", path)
		case plain || file:
			return given{variable: name, text: value}, value != ""
		}
	}
	return given{}, false
}

// names lists, sorted, the variables that start with a prefix in any source; NAME_FILE counts as NAME.
func (l *loader) names(prefix string) []string {
	var names []string
	for _, layer := range l.layers {
		for name := range layer.values {
			role, ok := strings.CutPrefix(name, prefix)
			if role = strings.TrimSuffix(role, "_FILE"); ok && role != "" {
				names = append(names, prefix+role)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
