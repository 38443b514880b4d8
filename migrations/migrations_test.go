// The numbering that the event log's versions rest on.

package migrations

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestFilesAreNumberedFromOneWithoutGaps(t *testing.T) {
	names, err := fs.Glob(Files, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("glob: %v, %d files", err, len(names))
	}
	for i, name := range names {
		if prefix := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(name, prefix) {
			t.Errorf("file %d is %s, want %s…", i+1, name, prefix)
		}
	}
}
