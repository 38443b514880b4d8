// Bytes through gprxy against bytes of a direct session.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
)

const firstNormalOID = 16384 // below are the server's own objects, which are the same everywhere

var temporarySchema = regexp.MustCompile(`pg_temp_[0-9]+`)

// comparable is a message without what differs from session to session: pids of notifications, OIDs of temporary tables
// and the numbers of their schemas.
func comparable(h heard) heard {
	body := []byte(h.body)
	switch h.kind {
	case 'A':
		clear(body[:min(4, len(body))])
	case 'T':
		maskTables(body)
	}
	return heard{h.kind, temporarySchema.ReplaceAllString(string(body), "pg_temp")}
}

// maskTables clears the OID of each column's table.
func maskTables(body []byte) {
	for at := 2; at < len(body); {
		end := strings.IndexByte(string(body[at:]), 0)
		if end < 0 || at+end+19 > len(body) {
			return
		}
		if oid := body[at+end+1:]; binary.BigEndian.Uint32(oid) >= firstNormalOID {
			clear(oid[:4])
		}
		at += end + 19
	}
}

// mirrored plays the same steps directly, and returns where the answers part.
func (l *lane) mirrored(ctx context.Context, a actor, through []heard) ([]string, error) {
	direct, err := login(ctx, l.postgres.Addr(), account, accountSecret, l.mirror)
	if err != nil {
		return nil, err
	}
	direct.play(ctx, a.steps)
	direct.settle()
	want := direct.messages()
	direct.leave(a.leave)
	for i := range max(len(want), len(through)) {
		if i < len(want) && i < len(through) && comparable(want[i]) == comparable(through[i]) {
			continue
		}
		return []string{fmt.Sprintf("message %d of the answers: PostgreSQL %s, gprxy %s", i, messageAt(want, i), messageAt(through, i))}, nil
	}
	return nil, nil
}

// settle waits for the last answer of a conversation whose bytes are compared.
func (l *line) settle() {
	l.until(endLimit, func() bool {
		n := len(l.all)
		return n >= 3 && l.all[n-1].kind == 'Z' && l.all[n-3].kind == 'D' && strings.Contains(l.all[n-3].body, "the end")
	})
}

func messageAt(all []heard, i int) string {
	if i < len(all) {
		return all[i].String()
	}
	return "nothing"
}
