// Reading the rows that were found, a page at a time, so that no query stays open while the caller
// takes its time.

package store

import (
	"context"
	"encoding/json"
	"slices"
)

// A page ends after so many rows, or with the row whose body fills it.
const (
	pageRows  = 500
	pageBytes = 4 << 20
)

// walk gives the matching events of the span, but not the first skip of its first row.
func (r *Reader) walk(ctx context.Context, f EventFilter, in span, skip int64, give func(Record) bool) error {
	return r.pages(ctx, f.walked(), in, skip, give, func(c *conditions, in span) {
		f.ofSession(c)
		f.ofEvent(c, in)
	})
}

// giveHits gives the events of the rows, but not the first skip.
func (r *Reader) giveHits(ctx context.Context, hits []hit, skip int64, give func(Record) bool) error {
	for chunk := range slices.Chunk(hits, pageRows) {
		seqs := make([]int64, len(chunk))
		for i, h := range chunk {
			seqs[i] = h.seq
		}
		list, err := json.Marshal(seqs)
		if err != nil {
			return err
		}
		in := span{seqs[0], seqs[len(seqs)-1]}
		err = r.pages(ctx, anySession, in, skip, give, func(c *conditions, in span) {
			c.add(`e.seq IN (SELECT value FROM json_each(?))`, string(list))
			c.add(`+e.seq BETWEEN ? AND ?`, in.from, in.to)
		})
		if err != nil {
			return err
		}
		skip = 0
	}
	return nil
}

// pages gives the events of the rows in the span that meet the conditions.
func (r *Reader) pages(ctx context.Context, from string, in span, skip int64, give func(Record) bool, where func(*conditions, span)) error {
	for !in.empty() {
		c := &conditions{}
		where(c, in)
		page, more, err := r.page(ctx, from, c)
		if err != nil {
			return err
		}
		for _, row := range page {
			if err := r.records(ctx, row, skip, give); err != nil {
				return err
			}
			in.from, skip = row.Seq+1, 0
		}
		if !more {
			return nil
		}
	}
	return nil
}

// page reads the first of the rows that meet the conditions; more says that there may be others.
func (r *Reader) page(ctx context.Context, from string, c *conditions) (page []storedRow, more bool, err error) {
	rows, err := r.db.QueryContext(ctx, `
		SELECT `+recordColumns+`
		FROM `+from+c.where()+`
		ORDER BY e.seq
		LIMIT ?`, append(c.args, pageRows)...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for size := 0; size < pageBytes && rows.Next(); {
		row, err := scanRow(rows.Scan)
		if err != nil {
			return nil, false, err
		}
		page = append(page, row)
		size += len(row.Detail)
		more = len(page) == pageRows || size >= pageBytes
	}
	return page, more, rows.Err()
}
