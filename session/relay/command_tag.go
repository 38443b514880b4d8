package relay

import (
	"bytes"
	"strconv"

	"gprxy/store"
)

// commandTag takes a tag apart: its words, and the number of rows, -1 if it has none.
func commandTag(body []byte) (tag string, rows int64) {
	body = bytes.TrimRight(body, "\x00")
	rows = -1
	for {
		at := bytes.LastIndexByte(body, ' ')
		if at < 0 {
			break
		}
		n, err := strconv.ParseInt(string(body[at+1:]), 10, 64)
		if err != nil {
			break
		}
		if rows < 0 {
			rows = n
		}
		body = body[:at]
	}
	if known, ok := tags[string(body)]; ok {
		return known, rows
	}
	return store.Shorten(string(body)), rows
}

// tags are those that come often: their strings are made once.
var tags = func() map[string]string {
	all := map[string]string{}
	for _, tag := range []string{"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "FETCH", "COPY", "BEGIN", "COMMIT", "ROLLBACK", "SET",
		"SHOW", "SAVEPOINT", "RELEASE"} {
		all[tag] = tag
	}
	return all
}()
