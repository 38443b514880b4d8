package store

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// A page is one of SQLite's, in the file that is held in memory (https://www.sqlite.org/fileformat2.html, "B-tree Pages").
type page []byte

const (
	pageSize  = 4096
	innerPage = 5
	leafPage  = 13
)

func (p page) cells() int { return int(binary.BigEndian.Uint16(p[3:])) }

// cell gives the place where the cell of that number begins, and the place of its number in the list.
func (p page) cell(n int) (at, listed int) {
	listed = 8 + 2*n
	if p[0] == innerPage {
		listed = 12 + 2*n
	}
	return int(binary.BigEndian.Uint16(p[listed:])), listed
}

// key is the rowid of a cell: where it stands, and its length.
func (p page) key(n int) (key int64, at, size int) {
	at, _ = p.cell(n)
	switch p[0] {
	case innerPage:
		at += 4 // behind the page to the left
	default:
		_, size = varint(p[at:])
		at += size // behind the length of the row
	}
	key, size = varint(p[at:])
	return key, at, size
}

func varint(b []byte) (n int64, size int) {
	for size < 8 {
		n = n<<7 | int64(b[size]&0x7f)
		if size++; b[size-1] < 0x80 {
			return n, size
		}
	}
	return n<<8 | int64(b[8]), 9
}

// setKey writes another rowid of the same length.
func (p page) setKey(t *testing.T, n int, key int64) {
	t.Helper()
	_, at, size := p.key(n)
	for i := size - 1; i >= 0; i-- {
		p[at+i] = byte(key)&0x7f | 0x80
		key >>= 7
	}
	p[at+size-1] &= 0x7f
	if key != 0 {
		t.Fatal("the key is too long for its place")
	}
}

// swap changes the order of two cells.
func (p page) swap(a, b int) {
	_, first := p.cell(a)
	_, second := p.cell(b)
	for i := range 2 {
		p[first+i], p[second+i] = p[second+i], p[first+i]
	}
}

// A tree that leads a search elsewhere than its rows stand shows, though every row is as it was written.
func TestATreeThatLies(t *testing.T) {
	for name, forge := range map[string]struct {
		table string
		inner bool // the page is the root, else the first leaf, or with more the last one
		more  string
		how   func(t *testing.T, p page)
	}{
		"a search passes by events":     {"events", true, "", func(t *testing.T, p page) { k, _, _ := p.key(1); p.setKey(t, 1, k-5) }},
		"a search goes to other events": {"events", true, "", func(t *testing.T, p page) { k, _, _ := p.key(1); p.setKey(t, 1, k+5) }},
		"texts that no search finds":    {"texts", true, "", func(t *testing.T, p page) { k, _, _ := p.key(1); p.setKey(t, 1, k-1) }},
		"two texts of one number":       {"texts", false, "", func(t *testing.T, p page) { k, _, _ := p.key(1); p.setKey(t, 2, k) }},
		"a false text before the true one of its number": {"texts", false, `INSERT INTO texts (sha256, bytes, used, text) VALUES (x'` +
			forgedSum + `', 15, 0, 'select harmless')`,
			func(t *testing.T, p page) {
				last := p.cells() - 1
				k, _, _ := p.key(last - 3)
				p.setKey(t, last, k)
				for n := last; n > last-3; n-- {
					p.swap(n, n-1)
				}
			}},
		"texts out of order":            {"texts", false, "", func(t *testing.T, p page) { p.swap(1, 2) }},
		"sessions that no search finds": {"sessions", true, "", func(t *testing.T, p page) { k, _, _ := p.key(1); p.setKey(t, 1, k-1) }},
	} {
		path := logPath(t)
		d, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 150 {
			mustAppend(t, d, login(sessionID(i), strings.Repeat("ann", 50), "app_reader", at(9))...)
			mustAppend(t, d, block(sessionID(i), prepared(fmt.Sprintf("select %d %s", i, strings.Repeat("x", 300)), 20)))
		}
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := reader(t, path).Verify(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		rewriteTree(t, path, forge.table, forge.inner, forge.more, forge.how)
		_, err = reader(t, path).Verify(t.Context(), nil)
		if _, broken := errors.AsType[*BrokenError](err); !broken {
			t.Errorf("%s: verify says %v", name, err)
		}
	}
}

// forgedSum is the SHA-256 of "select harmless".
const forgedSum = "452afd020206202a9d0c8627d5e8545162e3be5f8ce4867b3c67281a4b06d9b1"

// rewriteTree lets how change the root page of a table, which is an inner one, or the first leaf below it; the last one, if there
// is more to be put into the file before.
func rewriteTree(t *testing.T, path, table string, inner bool, more string, how func(*testing.T, page)) {
	t.Helper()
	var root int
	forge(t, path, func(db *sql.DB) {
		if err := db.QueryRowContext(t.Context(), `SELECT rootpage FROM sqlite_schema WHERE name = ?`, table).Scan(&root); err != nil {
			t.Fatal(err)
		}
		if more != "" {
			alter(t, db, more)
			alter(t, db, `UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'texts'`)
		}
		alter(t, db, `PRAGMA wal_checkpoint(truncate)`)
	})
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	of := func(number int) page { return page(file[(number-1)*pageSize : number*pageSize]) }
	p := of(root)
	for p[0] == innerPage && !inner {
		below, _ := p.cell(0)
		if more != "" {
			below = 8 // of what is to the right of all cells
		}
		p = of(int(binary.BigEndian.Uint32(p[below:])))
	}
	if inner && p[0] != innerPage || !inner && p[0] != leafPage || p.cells() < 3 {
		t.Fatalf("the page of %s has type %d and %d cells", table, p[0], p.cells())
	}
	how(t, p)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
}
