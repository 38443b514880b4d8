// The errors that a caller tells apart, with texts that say what to do.

package store

import (
	"errors"
	"fmt"
	"io/fs"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrClosed is returned for events handed over after Close.
var ErrClosed = errors.New("the event log is closed")

// LockedError says that another proxy owns the log.
type LockedError struct {
	Path    string
	PID     int  // of the owner; 0 if it is not known
	Leaving bool // it lets its last sessions finish, and ends then
}

func (e *LockedError) Error() string {
	owner := "another gprxy"
	if e.PID != 0 {
		owner = fmt.Sprintf("another gprxy (process %d)", e.PID)
	}
	if e.Leaving {
		return fmt.Sprintf("%s still lets sessions finish that it records in the older form of %s; start this one when it has ended", owner,
			e.Path)
	}
	return fmt.Sprintf("%s already writes the event log %s; stop it, or give this one its own file with EVENT_LOG", owner, e.Path)
}

// UnavailableError says that the log cannot be written now.
type UnavailableError struct {
	Path string
	Err  error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("the event log cannot be written: %v; %s", e.Err, remedy(e.Path, e.Err))
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// NotFoundError says that there is no log at Path.
type NotFoundError struct {
	Path string
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("there is no event log at %s; start the proxy once, or name its file with EVENT_LOG", e.Path)
}

// SchemaError says that the file is of another version than this program knows, or no event log at all.
type SchemaError struct {
	Path  string
	Have  int // the file's version; 0: not an event log
	Known int // the newest version this program knows
}

func (e *SchemaError) Error() string {
	switch {
	case e.Have > e.Known:
		return fmt.Sprintf("the event log %s was made by a newer gprxy (version %d, this one knows up to %d); use that gprxy, the file was "+
			"not touched", e.Path, e.Have, e.Known)
	case e.Have > 0:
		return fmt.Sprintf("the event log %s is from an older gprxy (version %d, this one reads %d); start the proxy once with this gprxy to "+
			"bring it up to date", e.Path, e.Have, e.Known)
	}
	return fmt.Sprintf("%s is not a gprxy event log; name the right file with EVENT_LOG", e.Path)
}

// BrokenError says where the log stops being what was written.
type BrokenError struct {
	Seq  int64 // the first event that is wrong
	What string
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("the event log is broken at seq %d: %s", e.Seq, e.What)
}

// asUnavailable wraps what keeps a log from being opened for writing, unless its kind says more.
func asUnavailable(path string, err error) error {
	if _, ok := errors.AsType[*LockedError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*SchemaError](err); ok {
		return err
	}
	return &UnavailableError{Path: path, Err: err}
}

var (
	errMoved       = errors.New("the file was moved or removed")
	errBacklogFull = errors.New("too many events wait to be written")
)

// remedy says what an operator can do about err.
func remedy(path string, err error) string {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_FULL:
		return "free space on the disk of " + path
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return "make " + path + " and its folder writable"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "end the program that holds " + path + " locked"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return "move " + path + " away for examination, or restore it"
	}
	if errors.Is(err, errMoved) || errors.Is(err, fs.ErrNotExist) {
		return "put " + path + " back, or make an empty file there to begin a new log"
	}
	if _, ok := errors.AsType[*LockedError](err); ok {
		return "one file has one proxy"
	}
	return "free space on, or make writable, the disk and folder of " + path
}

// sqliteCode gives SQLite's primary result code, 0 if err is none of SQLite's.
// https://www.sqlite.org/rescode.html
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// blamesEvent reports whether err is about what was written rather than about the file, so that
// the same events would fail again and the others would not.
func blamesEvent(err error) bool {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
		return true
	}
	return false
}
