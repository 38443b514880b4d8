// Whatever people ask for, they get what looking at every line would give.

package store

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// wanted tells whether a record is what the filter asks for, as its fields are documented. Limit is apart.
func (f EventFilter) wanted(r Record) bool {
	equals := func(want, have string) bool { return want == "" || want == have }
	return equals(f.User, r.User) && equals(f.ServiceAccount, r.ServiceAccount) && equals(f.Database, r.Database) &&
		equals(f.Type, r.Type) && equals(f.Session, r.Session) && r.Seq > f.AfterSeq &&
		(f.Since.IsZero() || !r.Time.Before(f.Since)) && (f.Until.IsZero() || r.Time.Before(f.Until))
}

func (f SessionFilter) wanted(s Session) bool {
	equals := func(want, have string) bool { return want == "" || want == have }
	return equals(f.User, s.User) && equals(f.ServiceAccount, s.ServiceAccount) && equals(f.Database, s.Database) &&
		(!f.Active || s.State == StateActive) && (f.Until.IsZero() || s.Started.Before(f.Until)) &&
		(f.Since.IsZero() || s.Ended.IsZero() || !s.Ended.Before(f.Since))
}

// moment is a time around the shop's; -1 is no restriction.
func moment(half int8) time.Time {
	if half == -1 {
		return time.Time{}
	}
	return at(float64(half) / 2)
}

func FuzzEventFilter(f *testing.F) {
	_, path := shop(f)
	r := reader(f, path)
	everything := all(f, r.Events(f.Context(), EventFilter{}))
	f.Add("ann", "", "", "", "", int8(-1), int8(-1), int16(0), uint8(0))
	f.Add("", "app_writer", "shop", "session.started", "", int8(3), int8(9), int16(4), uint8(1))
	f.Add("'", "%", "\x00", "session.*", "s1", int8(-128), int8(127), int16(-1), uint8(255))
	f.Add("", "", "other", "", "s3", int8(8), int8(8), int16(10), uint8(3))
	f.Fuzz(func(t *testing.T, user, account, database, typ, session string, since, until int8, after int16, limit uint8) {
		filter := EventFilter{User: user, ServiceAccount: account, Database: database, Type: typ, Session: session,
			Since: moment(since), Until: moment(until), AfterSeq: int64(max(after, 0)), Limit: int(limit)}
		var want []int64
		for _, rec := range everything {
			if filter.wanted(rec) {
				want = append(want, rec.Seq)
			}
		}
		if n := len(want); limit > 0 && n > int(limit) {
			want = want[n-int(limit):]
		}
		var got []int64
		for _, rec := range all(t, r.Events(t.Context(), filter)) {
			got = append(got, rec.Seq)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: got %v, want %v", filter, got, want)
		}
	})
}

func FuzzSessionFilter(f *testing.F) {
	_, path := shop(f)
	r := reader(f, path)
	everything := all(f, r.Sessions(f.Context(), SessionFilter{}))
	f.Add("ann", "", "", int8(-1), int8(-1), false, uint8(0))
	f.Add("", "app_writer", "shop", int8(3), int8(9), true, uint8(1))
	f.Add("'", "%", "\x00", int8(-128), int8(127), false, uint8(255))
	f.Fuzz(func(t *testing.T, user, account, database string, since, until int8, active bool, limit uint8) {
		filter := SessionFilter{User: user, ServiceAccount: account, Database: database,
			Since: moment(since), Until: moment(until), Active: active, Limit: int(limit)}
		var want []string
		for _, s := range everything {
			if filter.wanted(s) && (limit == 0 || len(want) < int(limit)) {
				want = append(want, s.Session)
			}
		}
		if got := ids(all(t, r.Sessions(t.Context(), filter))); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v: got %v, want %v", filter, got, want)
		}
	})
}
