// Which command or word a mistyped one was probably meant to be.

package cmd

import (
	"strings"

	"gprxy/cmd/settings"
)

// nearestCommand also takes the beginning of a name: `gprxy sess` means sessions.
func nearestCommand(typed string, candidates []string) string {
	if near := settings.Nearest(strings.ToLower(typed), candidates); near != "" {
		return near
	}
	for _, c := range candidates {
		if len(typed) >= 2 && strings.HasPrefix(c, strings.ToLower(typed)) {
			return c
		}
	}
	return ""
}
