// What the log takes on disk.

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const sizedSessions = 5000

// measureSize makes a log of sessions without statements, one of sessions with a few, and one with more, and
// takes the difference.
func measureSize(ctx context.Context, p plan) ([]figure, error) {
	var sizes []float64
	all := []pair{{}, fewStatements, {200, 200}}
	for i, runs := range all {
		path := filepath.Join(filepath.Dir(p.file), fmt.Sprintf("size-%d.db", i))
		defer os.Remove(path)
		if err := makeLog(ctx, path, sizedSessions, runs, time.Now()); err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, float64(info.Size())/sizedSessions)
	}
	each := func(i int) float64 { return (sizes[i] - sizes[0]) / float64(all[i].early+all[i].late) }
	return []figure{
		{What: "a session without statements", Value: sizes[0], Unit: "bytes", Limit: 2000},
		{What: "a repeated statement, 3 and 2 at once", Value: each(1), Unit: "bytes", Limit: 200},
		{What: "200 at once", Value: each(2), Unit: "bytes", Limit: 200},
	}, nil
}
