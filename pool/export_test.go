package pool

// HasEnded tells whether Release or Discard has begun.
func (l *Lease) HasEnded() bool { return l.hasEnded() }

// PreparedPassword is preparedPassword.
func PreparedPassword(password string) string { return preparedPassword(password) }
