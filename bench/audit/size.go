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

// measureSize makes a log of sessions without statements and others of sessions with them, and takes the
// difference. All is of one day: the first event of a day that names a text takes 96 bytes more.
func measureSize(ctx context.Context, p plan) ([]figure, error) {
	var sizes []float64
	all := []pair{{}, {1, 1}, fewStatements, {200, 200}}
	midnight := time.Now().UTC().Truncate(oneDay)
	for i, runs := range all {
		path := filepath.Join(filepath.Dir(p.file), fmt.Sprintf("size-%d.db", i))
		defer os.Remove(path)
		if err := makeLog(ctx, path, sizedSessions, runs, midnight, oneDay/2); err != nil {
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
		{What: "a repeated statement, alone", Value: each(1), Unit: "bytes", Limit: 200},
		{What: "3 and 2 at once", Value: each(2), Unit: "bytes", Limit: 200},
		{What: "200 at once", Value: each(3), Unit: "bytes", Limit: 200},
	}, nil
}
