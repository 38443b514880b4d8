package session_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"gprxy/auth"
)

// The password of a service account that was changed in between is tried anew, once, before anybody is refused.
func TestARefusedServicePasswordIsTriedAnew(t *testing.T) {
	for name, row := range map[string]struct {
		passwords []auth.Secret
		asked     int
		code      string
	}{
		"it is right by now":    {[]auth.Secret{"outdated", "reader-secret"}, 2, ""},
		"it is wrong once more": {[]auth.Secret{"outdated", "outdated too"}, 2, "XX000"},
		"it is the same":        {[]auth.Secret{"outdated", "outdated"}, 2, "XX000"},
		"it was right at once":  {[]auth.Secret{"reader-secret"}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			p := startProxy(t, func(o *options) {
				o.session.AccountPassword = func(account string) (auth.Secret, bool) {
					if account != "app_reader" {
						t.Errorf("asked about %q", account)
					}
					return row.passwords[min(int(asked.Add(1)), len(row.passwords))-1], true
				}
			})
			dsn := p.dsn("bob", token("bob@example.com", "reader"))
			if row.code == "" {
				connect(t, dsn).Close(t.Context())
			} else if answer := refused(t, dsn); answer.Code != row.code || strings.Contains(answer.Message+answer.Detail, "app_reader") {
				t.Errorf("answer %+v", answer)
			}
			if n := int(asked.Load()); n != row.asked {
				t.Errorf("the password was asked for %d times, want %d", n, row.asked)
			}
			if s := p.sessions()[0]; row.code != "" && s.EndReason != "service_account_refused" || row.code == "" && s.User != "bob@example.com" {
				t.Errorf("session %+v", s)
			}
		})
	}
}
