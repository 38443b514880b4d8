// Package sqltext takes the text of statements apart, as far as a record of them needs it: where one
// statement ends and the next begins, and which values are secrets. It knows the lexical rules of the
// manual's chapter "SQL Syntax" (PostgreSQL's scan.l) and no grammar, so that any text of any version
// of PostgreSQL passes.
//
// A lexer cuts a text into tokens. A reader walks them, and says of each byte whether it is code, a
// value or a remark, and whether it is to be hidden; contexts.go lists where secrets stand. A literal
// that holds SQL has a reader of its own. Where it is not sure how PostgreSQL reads the text there is
// a reader for each way, and the weave lets only those bytes be masked that are code to none. Texts
// pass in pieces of any size: nothing here needs all of one.
package sqltext
