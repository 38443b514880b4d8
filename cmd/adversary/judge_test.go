package main

import (
	"strings"
	"testing"

	"gprxy/store"
)

// What PostgreSQL told of one actor, in the order of its log.
func told(lines ...string) *book {
	var entries []entry
	for _, line := range lines {
		severity, message, _ := strings.Cut(line, " ")
		e := entry{backend: "b", severity: severity, message: message}
		if severity != "LOG" {
			e.sqlstate, e.query, _ = strings.Cut(message, " ")
		}
		entries = append(entries, e)
	}
	return readLedger(entries).book("ax0")
}

func recorded(rows ...row) *record {
	rec := newRecord()
	for _, r := range rows {
		rec.add("statement.executed", r)
		if _, n, ok := markOf(r.SQL); ok {
			rec.started[n] = true
		}
		rec.doubt = r.doubt
	}
	return rec
}

func simple(sql, outcome, state string) row {
	return row{Statement: store.Statement{Kind: store.KindSimple, SQL: sql, Outcome: outcome, SQLState: state}}
}

func extended(sql, outcome, state string) row {
	r := simple(sql, outcome, state)
	r.Kind = store.KindExtended
	return r
}

// A judge that finds nothing has to be able to find everything.
func TestEveryContradictionIsFound(t *testing.T) {
	const one, two, three = "select /*ax0.1*/ 1", "select /*ax0.2*/ 2", "select /*ax0.3*/ 3"
	const over = "LOG duration: 0.1 ms"
	ranOne := []string{"LOG statement: " + one, over}
	ranThree := []string{"LOG duration: 0.1 ms  parse <unnamed>: " + three, "LOG duration: 0.1 ms  bind <unnamed>: " + three,
		"LOG execute <unnamed>: " + three, over}
	failedTwo := []string{"LOG statement: " + two, "ERROR 22012 " + two}
	doubted := simple(one, store.OutcomeUnknown, "")
	doubted.doubt = "why"
	quiet := recorded(doubted)
	quiet.doubt = ""
	unannounced := recorded(simple(one, "", ""))
	clear(unannounced.started)
	tests := map[string]struct {
		told []string
		rec  *record
		want string
	}{
		"nothing": {append(append(append([]string{}, ranOne...), failedTwo...), ranThree...),
			recorded(simple(one, "", ""), simple(two, store.OutcomeError, "22012"), extended(three, "", "")), ""},
		"nothing, where nothing is known": {ranOne, recorded(doubted), ""},
		"a Query is missing":              {ranOne, recorded(), "the log has nothing of it"},
		"an Execute is missing":           {ranThree, recorded(), "ran 1 times"},
		"an Execute of two is missing": {append(append([]string{}, ranThree...), ranThree...), recorded(extended(three, "", "")),
			"ran 2 times"},
		"a portal is missing":          {ranThree[:2], recorded(), "was prepared"},
		"a named statement is missing": {[]string{"LOG duration: 0.1 ms  parse s: " + one}, recorded(), "was prepared"},
		"another text":                 {ranOne, recorded(simple("select /*ax0.1*/ 7", "", "")), "has the text"},
		"another text of an Execute":   {ranThree, recorded(extended("select /*ax0.3*/ 7", "", "")), "has the text"},
		"half of a text": {[]string{"LOG statement: " + one + "; " + one, over}, recorded(simple(one, "", "")),
			"has the text"},
		"success for an error":                   {failedTwo, recorded(simple(two, "", "")), "PostgreSQL says 22012"},
		"an error for success":                   {ranOne, recorded(simple(one, store.OutcomeError, "57014")), "PostgreSQL says ok"},
		"another error":                          {failedTwo, recorded(simple(two, store.OutcomeError, "57014")), "PostgreSQL says 22012"},
		"skipped for success":                    {ranOne, recorded(simple(one, store.OutcomeSkipped, "")), "PostgreSQL says ok"},
		"an error for an Execute that succeeded": {ranThree, recorded(extended(three, store.OutcomeError, "57014")), "ran 1 times"},
		"skipped for an Execute that succeeded":  {ranThree, recorded(extended(three, store.OutcomeSkipped, "")), "ran 1 times"},
		"success for what never ran":             {nil, recorded(simple(one, "", "")), "it did not"},
		"success for an Execute that never ran":  {ranThree[:2], recorded(extended(three, "", "")), "ran 0 times, and the log says 1"},
		"an error that was not":                  {nil, recorded(simple(one, store.OutcomeError, "22012")), "did not refuse"},
		"nothing, where a Sync did not commit": {append(append([]string{}, ranThree...), "ERROR 08P01"),
			recorded(extended(three, store.OutcomeError, "08P01")), ""},
		"nothing, where a Sync did not commit two": {append(append(append([]string{}, ranThree...), ranThree...), "ERROR 08P01"),
			recorded(extended(three, store.OutcomeError, "08P01"), extended(three, store.OutcomeError, "08P01")), ""},
		"nothing, where an interrupt came when an Execute was done": {append(append([]string{}, ranThree...), "ERROR 57014 "+three),
			recorded(extended(three, store.OutcomeCancelled, "57014")), ""},
		"nothing, where that interrupt is told of the next": {append(append([]string{}, ranThree...), "ERROR 57014 "+three),
			recorded(extended(three, "", ""), extended(two, store.OutcomeCancelled, "57014")), ""},
		"nothing, where a portal is refused that a failed Query left": {append(append([]string{}, ranThree...), "LOG execute <unnamed>: ",
			"ERROR 25P02 "),
			recorded(extended(three, "", ""), extended(three, store.OutcomeError, "25P02")), ""},
		"an error of a Sync before": {append(append(append([]string{}, ranThree...), ranOne...), "ERROR 08P01"),
			recorded(extended(three, store.OutcomeError, "08P01"), simple(one, "", "")), "ran 1 times"},
		"a refusal that is missing": {[]string{"ERROR 42601 " + one}, recorded(), "failed with 42601"},
		"something that ran after the error": {failedTwo, recorded(simple(two, store.OutcomeError, "22012"), simple(two, "", "")),
			"has the text"},
		"a second error": {[]string{"LOG statement: " + two + ";" + two, "ERROR 22012"},
			recorded(simple(two, store.OutcomeError, "22012"), simple(two, "", "")), "ran after the error"},
		"an outcome of what was not over": {ranOne[:1], recorded(simple(one, "", "")), "not done"},
		"a call that is missing": {append(ranOne, `LOG fastpath function call: "int4pl" (OID 177)`, over),
			recorded(simple(one, "", "")), "1 function calls"},
		"another order": {append(append([]string{}, ranOne...), ranThree...),
			recorded(extended(three, "", ""), simple(one, "", "")), "ran before it"},
		"unknown and no doubt":                    {ranOne, recorded(simple(one, store.OutcomeUnknown, "")), "does not say why"},
		"doubt that the end of the session hides": {ranOne, quiet, "session.ended does not say so"},
		"what was not announced":                  {ranOne, unannounced, "no statement.started"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			j := judgeActor(told(test.told...), test.rec, map[int]bool{1: true, 2: true}, true)
			got := strings.Join(j.wrong, "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

func TestStatementsOfNobodyAreFound(t *testing.T) {
	const question = "SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT "
	for text, own := range map[string]bool{
		"DISCARD ALL": true, "ROLLBACK": true, "": false, "discard all": false, "DISCARD ALL; select 1": false,
		question + "'0123456789abcdef0123456789abcdef'::pg_catalog.text":                                                 true,
		question + "'a value that is no value'::pg_catalog.text":                                                         false,
		question + "'0123456789abcdef0123456789abcdef'::pg_catalog.text, pg_catalog.set_config('a', 'b', false) IS NULL": false,
	} {
		l := readLedger([]entry{{backend: "b", severity: "LOG", message: "statement: " + text}})
		if (len(l.wrong) == 0) != own {
			t.Errorf("%q: found %q", text, l.wrong)
		}
	}
}

func TestSomebodyWhoComesBackToABackendIsFound(t *testing.T) {
	var entries []entry
	for _, text := range []string{"select /*ax0.1*/ 1", "select /*ax1.1*/ 1", "select /*ax0.2*/ 1"} {
		entries = append(entries, entry{backend: "b", severity: "LOG", message: "statement: " + text})
	}
	if l := readLedger(entries); len(l.wrong) != 1 {
		t.Errorf("found %q", l.wrong)
	}
}

func TestBytesThatDifferAreSeen(t *testing.T) {
	column := func(table int) string {
		return int16s(1) + "n\x00" + int32s(table) + int16s(1) + int32s(23) + int16s(4) + int32s(0) + int16s(0)
	}
	for name, test := range map[string]struct {
		a, b heard
		same bool
	}{
		"the same":                    {heard{'C', "SELECT 1\x00"}, heard{'C', "SELECT 1\x00"}, true},
		"another body":                {heard{'C', "SELECT 1\x00"}, heard{'C', "SELECT 2\x00"}, false},
		"another type":                {heard{'C', ""}, heard{'I', ""}, false},
		"another temporary table":     {heard{'T', column(20001)}, heard{'T', column(20002)}, true},
		"a table of the server's":     {heard{'T', column(1259)}, heard{'T', column(1260)}, false},
		"another temporary schema":    {heard{'E', "Spg_temp_3\x00"}, heard{'E', "Spg_temp_11\x00"}, true},
		"a notification's pid":        {heard{'A', "\x00\x00\x00\x01c\x00x\x00"}, heard{'A', "\x00\x00\x00\x02c\x00x\x00"}, true},
		"a notification's other text": {heard{'A', "\x00\x00\x00\x01c\x00x\x00"}, heard{'A', "\x00\x00\x00\x01c\x00y\x00"}, false},
	} {
		if got := comparable(test.a) == comparable(test.b); got != test.same {
			t.Errorf("%s: the same %v", name, got)
		}
	}
}
