// The fold: which events make which session.

package store

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func fold(facts ...Fact) Session {
	s := Session{Session: "s"}
	for i, f := range facts {
		s = apply(s, int64(i+1), t0.Add(time.Duration(i)*time.Second), f)
	}
	return s
}

func TestFold(t *testing.T) {
	var (
		connected = SessionConnected{Client: "c:1", RequestedUser: "wish", Database: "shop"}
		proved    = AuthSucceeded{Method: "token", User: "ann", Roles: []string{"reader"}}
		mapped    = RoleMapped{Role: "reader", ServiceAccount: "app_reader"}
		started   = SessionStarted{ServiceAccount: "app_reader_7", BackendPID: 9}
		done      = SessionEnded{Reason: "client_left", Statements: 5}
	)
	for _, tc := range []struct {
		name  string
		facts []Fact
		state string
		user  string
		acct  string
		why   string
	}{
		{"logging in", []Fact{connected}, stateConnecting, "", "", ""},
		{"proved", []Fact{connected, proved}, stateConnecting, "ann", "", ""},
		{"mapped", []Fact{connected, proved, mapped}, stateConnecting, "ann", "app_reader", ""},
		{"served by the account the backend says", []Fact{connected, proved, mapped, started}, StateActive, "ann", "app_reader_7", ""},
		{"over", []Fact{connected, proved, mapped, started, done}, StateEnded, "ann", "app_reader_7", "client_left"},
		{"psql's probe is no refusal", []Fact{connected, SessionEnded{Reason: "left_before_login"}}, StateEnded, "", "", "left_before_login"},
		{"wrong password", []Fact{connected, AuthFailed{Method: "password", Reason: "x"}, SessionRefused{Reason: "auth"}}, StateRefused, "", "",
			"auth"},
		{"an expired token names whom it was for", []Fact{connected, AuthFailed{Method: "token", User: "ann"}, SessionRefused{Reason: "auth"}},
			StateRefused, "ann", "", "auth"},
		{"no role", []Fact{connected, proved, RoleDenied{Reason: "none"}, SessionRefused{Reason: "no_role"}}, StateRefused, "ann", "", "no_role"},
		{"a refusal stays one", []Fact{connected, SessionRefused{Reason: "auth"}, done}, StateRefused, "", "", "auth"},
		{"crash", []Fact{connected, proved, mapped, started, SessionEnded{Reason: EndAborted}}, StateAborted, "ann", "app_reader_7", "aborted"},
		{"a late event changes nothing", []Fact{connected, done, started}, StateEnded, "", "", "client_left"},
		{"a second beginning changes nothing", []Fact{connected, proved, SessionConnected{Database: "other"}}, stateConnecting, "ann", "", ""},
		{"without a beginning there is no session", []Fact{proved, started, done}, "", "", "", ""},
	} {
		s := fold(tc.facts...)
		if s.State != tc.state || s.User != tc.user || s.ServiceAccount != tc.acct || s.EndReason != tc.why {
			t.Errorf("%s: got %s user=%s account=%s reason=%s", tc.name, s.State, s.User, s.ServiceAccount, s.EndReason)
		}
		if s.seq != 0 && s.Database != "shop" {
			t.Errorf("%s: database %q", tc.name, s.Database)
		}
	}
}

func TestSessionJSON(t *testing.T) {
	b, err := json.Marshal(fold(SessionConnected{Client: "c:1", RequestedUser: "wish", Database: "shop"},
		SessionEnded{Reason: "left_before_login"}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"session":"s","state":"ended","started":"2026-03-01T09:30:00.123456Z","ended":"2026-03-01T09:30:01.123456Z",` +
		`"user":null,"requested_user":"wish","auth_method":null,"roles":null,"role":null,"service_account":null,"database":"shop",` +
		`"client":"c:1","application_name":null,"tls":null,"backend_pid":null,"statements":0,"rows":0,"errors":0,"bytes_in":0,"bytes_out":0,` +
		`"end_reason":"left_before_login","doubt":null}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestSessionIDsSortByTimeAndDiffer(t *testing.T) {
	var ids []string
	for i := range 1000 {
		ids = append(ids, NewSessionID(t0.Add(time.Duration(i)*time.Millisecond)))
	}
	if !slices.IsSorted(ids) {
		t.Error("ids do not sort by time")
	}
	id := ids[0]
	if len(id) != 16 || strings.Trim(id, "0123456789abcdefghjkmnpqrstvwxyz") != "" {
		t.Errorf("id %q", id)
	}
	if id == NewSessionID(t0) {
		t.Error("two ids of one moment are equal")
	}
}
