// The judgement of statements: each row that is stored was written by one that the log has.
package main

import (
	"slices"
	"strconv"
	"strings"

	"gprxy/store"
)

// checkStatement looks for the statement that wrote a stored row. Strict: it was announced before PostgreSQL had it.
// Async: it may be missing if the client heard of its end only within the window before the kill, or never. The window is
// longer by what the machine was late.
func (j *judgement) checkStatement(v *visit, told []*story, id int64) {
	heard, acknowledged := v.told[id]
	switch j.durability {
	case store.DurabilityStrict:
		j.held++
		if find(told, func(s *story) bool { return mention(s.announced, id) }) == nil {
			j.wrong("row %d of %s is stored, and no statement.started has it", id, v.address)
		}
	case store.DurabilityAsync:
		if !j.killed.IsZero() && (!acknowledged || heard.After(j.killed.Add(-store.AsyncWindow-j.late))) {
			return
		}
		j.held++
		if find(told, func(s *story) bool { return mention(s.ran, id) }) == nil {
			j.wrong("row %d of %s was acknowledged %v before the kill, and no statement.executed has it "+
				"(the machine was up to %v late)", id, v.address, j.killed.Sub(heard), j.late)
		}
	}
}

// mention tells whether one of the statements may have written the row: by its text, its value, or as the data of a COPY.
func mention(statements []store.Statement, id int64) bool {
	digits := strconv.FormatInt(id, 10)
	return slices.ContainsFunc(statements, func(s store.Statement) bool {
		return strings.Contains(s.SQL, "COPY ledger") || strings.Contains(s.SQL, "("+digits+")") ||
			strings.Contains(s.SQL, "SELECT "+digits+" FROM") ||
			slices.ContainsFunc(s.Params, func(p store.Param) bool { return p.Text == digits })
	})
}

// checkGap: where statements of somebody who was in may be missing, the log says so.
func (j *judgement) checkGap() {
	if j.durability != store.DurabilityAsync || j.gaps > 0 {
		return
	}
	for _, told := range j.stories {
		for _, s := range told {
			if s.ended.Reason == store.EndAborted && slices.Contains(s.types, "session.started") {
				j.wrong("session %s was aborted, and the log has no log.gap", s.id)
				return
			}
		}
	}
}
