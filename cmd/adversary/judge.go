// The judge: what PostgreSQL says that it did for an actor, against what the event log says.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"gprxy/store"
)

// judge holds one actor's two books against each other. Rows that say that their outcome is not known are believed, but
// their texts have to be there.
type judge struct {
	*book
	*record
	queries  map[int]bool // the texts that stood in a Query
	strict   bool
	wrong    []string
	compared int // rows whose outcome was held against PostgreSQL's
	unknown  int // rows that say that it is not known
}

func (j *judge) contradiction(format string, args ...any) {
	j.wrong = append(j.wrong, fmt.Sprintf(format, args...))
}

func judgeActor(b *book, rec *record, queries map[int]bool, strict bool) *judge {
	if b == nil {
		b = newBook()
	}
	if rec == nil {
		rec = newRecord()
	}
	j := &judge{book: b, record: rec, queries: queries, strict: strict}
	for _, r := range rec.order {
		if r.wild() {
			j.unknown++
		} else {
			j.compared++
		}
	}
	for _, n := range j.numbers() {
		j.judgeText(n)
	}
	j.judgeCalls()
	j.judgeErrors()
	j.judgeOrder()
	j.judgeDoubt()
	return j
}

// numbers are those of all texts that either side has.
func (j *judge) numbers() []int {
	all := map[int]bool{}
	for n := range j.texts {
		all[n] = true
	}
	for n := range j.rows {
		all[n] = true
	}
	return slices.Sorted(maps.Keys(all))
}

func (j *judge) judgeText(n int) {
	if j.strict && (len(j.runs[n]) > 0 || j.bound[n] > 0) && !j.started[n] {
		j.contradiction("%q ran, and no statement.started has it", j.texts[n])
	}
	var runs []*ran
	rows := j.rows[n]
	simple := slices.IndexFunc(j.runs[n], func(r *ran) bool { return r.simple })
	if simple >= 0 {
		var of []row // a text of PREPARE or DECLARE may be run by the extended protocol as well
		for _, r := range rows {
			if r.Kind == store.KindSimple || r.Kind == store.KindCopy {
				of = append(of, r)
			}
		}
		j.judgeQuery(of, j.runs[n][simple])
		rows = slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.Kind == store.KindSimple || r.Kind == store.KindCopy })
	}
	for _, r := range j.runs[n] {
		if !r.simple {
			runs = append(runs, r)
		}
	}
	switch {
	case len(runs) > 0 || j.parsed[n] > 0:
		j.judgeExtended(n, rows, runs)
	case simple < 0:
		j.judgeNotRun(n)
	}
}

// judgeQuery: one Query, whose statements have a row each.
func (j *judge) judgeQuery(rows []row, r *ran) {
	if len(rows) == 0 {
		j.contradiction("%q ran (%s), and the log has nothing of it", r.text, outcome(r))
		return
	}
	wild := slices.ContainsFunc(rows, row.wild)
	if text := together(rows); !sameText(text, r.text, rows[0]) && !(wild && strings.Contains(r.text, rows[0].SQL)) {
		j.contradiction("%q ran, and the log has the text %q", r.text, text)
	}
	if wild {
		return
	}
	at := slices.IndexFunc(rows, func(r row) bool { return !r.ok() })
	switch {
	case !r.over:
		j.contradiction("%q was not done when its backend ended, and the log says %s", r.text, tell(rows))
	case r.sqlstate == "" && at >= 0, r.sqlstate != "" && (at < 0 || !rows[at].failed() || rows[at].SQLState != r.sqlstate):
		j.contradiction("%q: PostgreSQL says %s, the log %s", r.text, outcome(r), tell(rows))
	case at >= 0 && slices.ContainsFunc(rows[at+1:], func(r row) bool { return r.Outcome != store.OutcomeSkipped }):
		j.contradiction("%q: something ran after the error: %s", r.text, tell(rows))
	}
}

// judgeExtended: a text that was parsed, and run any number of times.
func (j *judge) judgeExtended(n int, rows []row, runs []*ran) {
	text := j.texts[n]
	ok := 0
	failed := map[string]int{}
	undone := map[string]int{} // of ok: what its Sync did not commit
	for _, r := range runs {
		switch {
		case !r.over:
		case r.sqlstate == "":
			ok++
			if r.undone != "" {
				undone[r.undone]++
			}
		default:
			failed[r.sqlstate]++
		}
	}
	said, skipped := 0, 0
	saidFailed := map[string]int{}
	// In doubt it is not known either whose portal an Execute runs: its row may have the text of another.
	anybodys := len(j.textless) + j.wildElsewhere(n)
	free := anybodys
	for _, r := range rows {
		if !r.wild() && !sameText(r.SQL, text, r) {
			j.contradiction("%q ran, and the log has the text %q", text, r.SQL)
		}
		switch {
		case r.wild():
			free++
		case r.Outcome == store.OutcomeSkipped:
			skipped++
		case r.failed():
			saidFailed[r.SQLState]++
		case r.executes() && !empty(text): // PostgreSQL's log has no run of what holds no statement
			said++
		case r.Kind == store.KindParse && j.parsed[n] == 0, r.Kind == store.KindBind && j.bound[n] == 0:
			j.contradiction("the log says that PostgreSQL did this, and it did not: %s", tell([]row{r}))
		}
	}
	if said > ok+j.blank {
		j.contradiction("%q ran %d times, and the log says %d: %s", text, ok, said, tell(rows))
	}
	for state, times := range undone {
		free += min(times, saidFailed[state])
	}
	if ok > said+free {
		j.contradiction("%q ran %d times, and the log says: %s", text, ok, tell(rows))
	}
	for state, times := range failed {
		if times > saidFailed[state]+free {
			j.contradiction("%q failed with %s %d times, and the log says: %s", text, state, times, tell(rows))
		}
	}
	for state, times := range undone {
		failed[state] += times
	}
	j.judgeClaims(n, saidFailed, failed)
	if ran := len(runs); ran > len(rows)-skipped+anybodys {
		j.contradiction("%q ran %d times, and the log says: %s", text, ran, tell(rows))
	}
	if len(rows) == 0 && (j.bound[n] > 0 || j.named[n]) && len(runs) == 0 {
		j.contradiction("%q was prepared, and the log has nothing of it", text)
	}
}

// wildElsewhere counts the Executes in doubt that have the text of another statement.
func (j *judge) wildElsewhere(n int) (count int) {
	for _, r := range j.order {
		if _, of, ok := markOf(r.SQL); ok && of != n && r.wild() && r.Kind == store.KindExtended {
			count++
		}
	}
	return count
}

// judgeNotRun: a text that PostgreSQL did not begin to run. It may have refused it.
func (j *judge) judgeNotRun(n int) {
	rows := j.rows[n]
	saidFailed := map[string]int{}
	wild := 0
	for _, r := range rows {
		switch {
		case r.wild():
			wild++
		case r.ok() && !empty(r.SQL):
			j.contradiction("the log says that PostgreSQL did this, and it did not: %s", tell([]row{r}))
		case r.failed():
			saidFailed[r.SQLState]++
		}
	}
	j.judgeClaims(n, saidFailed, nil)
	for state, times := range j.failed[n] {
		// What only a Parse held has a row of its own where nothing was to be executed behind it; else the error is told of that.
		if saidFailed[state]+wild == 0 && (j.queries[n] || len(rows) > 0 && !j.toldElsewhere(state)) {
			j.contradiction("%q failed with %s %d times, and the log says: %s", j.texts[n], state, times, tell(rows))
		}
	}
}

// toldElsewhere: a row without a text of its own has the error.
func (j *judge) toldElsewhere(state string) bool {
	return slices.ContainsFunc(j.textless, func(r row) bool { return r.failed() && r.SQLState == state })
}

// judgeClaims: no error in the log that PostgreSQL did not send.
func (j *judge) judgeClaims(n int, said, ran map[string]int) {
	for state, times := range said {
		if times > ran[state]+j.failed[n][state]+j.loose[state] {
			j.contradiction("PostgreSQL did not refuse this: %s", tell(j.rows[n]))
		}
	}
}

// judgeCalls: function calls have no text. Where all outcomes are known their number must be right.
func (j *judge) judgeCalls() {
	ran, said, wild := 0, 0, slices.ContainsFunc(j.order, row.wild)
	for _, r := range j.book.calls {
		if r.over && r.sqlstate == "" {
			ran++
		}
	}
	for _, r := range j.record.calls {
		if r.ok() {
			said++
		}
	}
	if said > ran || said < ran && !wild {
		j.contradiction("%d function calls succeeded, and the log says %d", ran, said)
	}
}

// judgeErrors: no more errors than there were, over all texts.
func (j *judge) judgeErrors() {
	said := map[string]int{}
	for _, r := range j.order {
		if r.failed() {
			said[r.SQLState]++
		}
	}
	undone := map[string]int{} // one error is that of all that its Sync did not commit
	for _, runs := range j.runs {
		for _, r := range runs {
			undone[r.undone]++
		}
	}
	for state, times := range said {
		if times > j.total[state]+undone[state] {
			j.contradiction("PostgreSQL sent %d errors %s, and the log has %d", j.total[state], state, times)
		}
	}
}

// judgeOrder: texts that ran once stand in the order in which they ran.
func (j *judge) judgeOrder() {
	last, lastText := 0, ""
	for _, r := range j.order {
		_, n, ok := markOf(r.SQL)
		if !ok || r.wild() || r.Outcome == store.OutcomeSkipped || len(j.runs[n]) != 1 || len(j.rows[n]) != 1 || !r.executes() {
			continue
		}
		place := j.runs[n][0].place
		if place < last {
			j.contradiction("%q stands after %q, and ran before it", r.SQL, lastText)
		}
		last, lastText = place, r.SQL
	}
}

// judgeDoubt: doubt is loud. What is not known says why, and so does the end of its session.
func (j *judge) judgeDoubt() {
	for _, r := range j.order {
		switch {
		case r.Outcome == store.OutcomeUnknown && r.doubt == "":
			j.contradiction("unknown, and it does not say why: %s", tell([]row{r}))
		case r.doubt != "" && j.doubt == "":
			j.contradiction("in doubt (%s), and session.ended does not say so: %s", r.doubt, tell([]row{r}))
		}
	}
}

func outcome(r *ran) string {
	switch {
	case !r.over:
		return "lost"
	case r.sqlstate == "":
		return "ok"
	}
	return r.sqlstate
}

// tell shows rows of the log.
func tell(rows []row) string {
	if len(rows) == 0 {
		return "nothing"
	}
	var all []string
	for _, r := range rows {
		said := "ok"
		if r.Outcome != "" {
			said = r.Outcome
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %q %s %s", r.Kind, shorten(r.SQL), said, r.SQLState)))
	}
	return strings.Join(all, "; ")
}

// together is the text of a Query from those of its statements.
func together(rows []row) string {
	var all []string
	for _, r := range rows {
		all = append(all, r.SQL)
	}
	return strings.Join(all, "; ")
}

// sameText compares texts but for the spaces and semicolons between statements. Of a cut one the hash is compared.
func sameText(said, ran string, r row) bool {
	if r.TextSHA256 != "" {
		sum := sha256.Sum256([]byte(ran))
		return hex.EncodeToString(sum[:]) == r.TextSHA256
	}
	return squeeze(said) == squeeze(ran)
}

var comment = regexp.MustCompile(`/\*.*?\*/`)

// empty tells whether a text holds no statement.
func empty(text string) bool { return squeeze(comment.ReplaceAllString(text, "")) == "" }

func squeeze(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ';' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
}
