// Which known name a mistyped one was probably meant to be.

package settings

// Nearest returns the candidate that a person most likely meant, or "" if none is near: at most one
// slip (a letter wrong, missing, too many, or two swapped) in a short name, two in one of eight or more.
func Nearest(typed string, candidates []string) string {
	const longest = 64 // longer ones are no slips, and distance is quadratic
	if len(typed) > longest {
		return ""
	}
	allowed := 1
	if len(typed) >= 8 {
		allowed = 2
	}
	best, bestDistance := "", allowed+1
	for _, c := range candidates {
		if d := distance(typed, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the slips between two texts, a swap of neighbours being one (optimal string alignment).
func distance(a, b string) int {
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
