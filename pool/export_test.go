package pool

// HasEnded tells whether Release or Discard has begun.
func (l *Lease) HasEnded() bool { return l.hasEnded() }

// PreparedPassword is preparedPassword.
func PreparedPassword(password string) string { return preparedPassword(password) }

// Letters are those of each encoding that are sent to a database as they are.
func Letters() map[string]string {
	letters := map[string]string{}
	for encoding, table := range charmaps {
		for b := 128; b < 256; b++ {
			if r := table.DecodeByte(byte(b)); fit(string(r), encoding) == string(r) {
				letters[encoding] += string(r)
			}
		}
	}
	return letters
}
