// Passwords as PostgreSQL prepares them for SCRAM.
package pool

import (
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
	"golang.org/x/text/unicode/norm"
)

// preparedPassword is the text of which SCRAM proves the knowledge: the password by SASLprep (RFC 4013), or as it is where
// SASLprep has nothing to give. So does PostgreSQL with the password it is told to keep, and libpq with the one it is given
// (src/common/saslprep.c, pg_saslprep). pgconn follows the newer RFC 8265 instead, which leaves ½, ligatures and full width
// letters as they are, and the two do not meet.
func preparedPassword(password string) string {
	if !utf8.ValidString(password) {
		return password
	}
	mapped, err := saslprep.Prepare(password)
	if err != nil || mapped == "" {
		return password
	}
	return norm.NFKC.String(mapped)
}

// saslprep is stringprep's profile of that name with two ways of PostgreSQL's. It looks for characters that are prohibited,
// and at the directions of the text, before the normalisation rather than after it. And of the zero width space, which stands
// in two of the RFC's tables, it makes a space.
var saslprep = func() stringprep.Profile {
	profile := stringprep.SASLprep
	profile.Mappings = append([]stringprep.Mapping{{0x200B: {' '}}}, profile.Mappings...)
	profile.Normalize = false
	return profile
}()
