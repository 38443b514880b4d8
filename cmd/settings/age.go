// How long ago, as people type it.

package settings

import (
	"strconv"
	"time"
)

var units = map[byte]time.Duration{
	's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
}

// ParseAgo reads whole numbers with a unit each, largest first or not, and adds them up.
func ParseAgo(text string) (time.Duration, bool) {
	const longest = 200 * 365 * 24 * time.Hour
	var sum time.Duration
	for rest := text; rest != ""; {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		if digits == 0 || digits == len(rest) {
			return 0, false
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		unit, known := units[rest[digits]]
		if err != nil || !known || n > int64(longest/unit) {
			return 0, false
		}
		sum += time.Duration(n) * unit
		if sum > longest {
			return 0, false
		}
		rest = rest[digits+1:]
	}
	return sum, sum > 0
}
