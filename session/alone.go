package session

import "strings"

// Statements that want a database for themselves. DROP DATABASE, ALTER DATABASE ... RENAME TO and CREATE DATABASE ... TEMPLATE
// fail with 55006 while anybody else is connected, and gprxy's own idle backends are not to be the reason: they are closed when
// such a statement passes. The statement itself goes on as it is and at once, for PostgreSQL waits 5 s for others to leave.

// mayMean says whether a statement may be about that database. In doubt it is: what a name with escapes or in another
// encoding stands for is PostgreSQL's to know, and an idle backend that is closed in vain costs its next session little.
func mayMean(text, database string) bool {
	lower := strings.ToLower(text)
	if strings.Contains(lower, "u&") || strings.ContainsFunc(text, func(r rune) bool { return r > 0x7e }) {
		return true
	}
	return strings.Contains(strings.ReplaceAll(lower, `""`, `"`), strings.ToLower(database))
}

// leaveDatabases closes the idle backends that stand in the way of a statement.
func (s *session) leaveDatabases(text string) {
	s.client.log.Debug("idle connections are closed for a statement that wants a database for itself")
	s.handler.Pools.CloseIdle(func(database string) bool { return mayMean(text, database) })
}
