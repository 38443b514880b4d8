// Variables that look like a setting and are none: most likely a slip of the finger.

package settings

import (
	"slices"
	"strings"
)

// otherVariables are read by gprxy's other commands, or will be; they are no slips.
var otherVariables = []string{
	"AUTH0_NATIVE_CLIENT_ID", "CALLBACK_URL", "OIDC_PROMPT", "CONNECTION_NAME", "PROXY_URL", "AUDIT_STATEMENTS",
}

// warnTypos warns about slips. In .env, which is written for gprxy, an unknown name with one of our
// prefixes counts too; in the environment only a near miss, since it belongs to other programs as well.
func (l *loader) warnTypos() {
	known := slices.Clone(otherVariables)
	for _, row := range Table() {
		if row.Prefix {
			continue
		}
		known = append(known, row.Name)
		if row.Secret {
			known = append(known, row.Name+"_FILE")
		}
	}
	told := map[string]bool{}
	for _, layer := range l.layers {
		if layer.name == "flags" {
			continue
		}
		for _, name := range sortedKeys(layer.values) {
			if told[name] || slices.Contains(known, name) || isMapping(name) {
				continue
			}
			if text := slip(name, known, layer.name == ".env"); text != "" {
				l.warn("%s in the %s is no setting of gprxy%s", name, layer.name, text)
				told[name] = true
			}
		}
	}
}

func isMapping(name string) bool {
	role, ok := strings.CutPrefix(name, "ROLE_MAPPING_")
	return ok && role != ""
}

// slip returns what to add to the warning, or "" if the name is somebody else's.
func slip(name string, known []string, ours bool) string {
	upper := strings.ToUpper(name)
	if upper != name && (slices.Contains(known, upper) || isMapping(upper)) {
		return "; did you mean " + upper + "?"
	}
	if base, ok := strings.CutSuffix(name, "_FILE"); ok && slices.Contains(known, base) {
		return "; only passwords have a _FILE variant, set " + base
	}
	if near := Nearest(name, known); near != "" {
		return "; did you mean " + near + "?"
	}
	if near := nearestMapping(name); near != "" {
		return "; did you mean " + near + "?"
	}
	if ours && (strings.HasPrefix(name, "GPRXY_") || strings.HasPrefix(name, "PROXY_")) {
		return "; see gprxy start --help"
	}
	return ""
}

// nearestMapping mends the fixed part of a mistyped ROLE_MAPPING_<ROLE>.
func nearestMapping(name string) string {
	if name == "ROLE_MAPPING" || name == "ROLE_MAPPING_" {
		return "ROLE_MAPPING_<ROLE>"
	}
	parts := strings.SplitN(name, "_", 3)
	if len(parts) < 3 || parts[2] == "" {
		return ""
	}
	fixed := parts[0] + "_" + parts[1]
	if fixed != "ROLE_MAPPING" && distance(fixed, "ROLE_MAPPING") <= 2 {
		return "ROLE_MAPPING_" + parts[2]
	}
	return ""
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
