// Package migrations embeds the numbered SQL files that build and update the event log.
//
// File NNNN_name.sql brings a file from version NNNN-1 to NNNN, in one transaction; the
// version stands in PRAGMA user_version. A file that was released is never changed.
package migrations

import "embed"

// Files holds the .sql files, to be applied in the order of their names.
//
//go:embed *.sql
var Files embed.FS
