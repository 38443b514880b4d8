// Package prompt is the built-in SQL prompt: what `gprxy connect` runs where psql is not installed.
//
//	lines ── splitter ──> statements ── exchange ──> tables, tags, errors
//	                 └──> \commands
//
// It looks and ends like psql: aligned tables, errors with LINE and caret, exit code 3 for a script that
// failed and 2 for a connection that was lost. A script stops at its first error. It knows nothing of
// tokens or TLS: the caller connects.
package prompt
