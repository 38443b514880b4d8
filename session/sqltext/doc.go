// Package sqltext takes the text of statements apart, as far as a record of them needs it: where one
// statement ends and the next begins, and which parts are secrets. It knows the lexical rules of the
// manual's chapter "SQL Syntax" and no grammar, so that any text of any version of PostgreSQL passes.
package sqltext
