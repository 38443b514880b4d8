package pool_test

import (
	"strings"
	"testing"

	"gprxy/pool/pooltest"
)

// What lets a service account in from elsewhere is told, if PostgreSQL shows it.
func TestRulesThatLetAnAccountInFromElsewhere(t *testing.T) {
	t.Parallel()
	s, err := pooltest.Start(t.Context(), pooltest.Options{HBA: []string{
		"host all someone 10.0.0.0/8 scram-sha-256",
		"host all app 127.0.0.1/32 scram-sha-256",
		"host all app,other 10.1.0.0 255.255.0.0 scram-sha-256",
		"host all app 192.168.0.0/16 reject",
		"host all +crew 192.168.7.0/24 scram-sha-256",
		"host all +crew 172.16.0.9/32 scram-sha-256",
		"host all app db.example.com scram-sha-256",
		"host all app samehost scram-sha-256",
		"host all app all reject",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := s.CreateUser(t.Context(), "app", "app-secret"); err != nil {
		t.Fatal(err)
	}
	p := newPools(t, config(at(s)))
	r := request(user("app"), password("app-secret"), database("postgres"))
	facts, err := p.Account(t.Context(), r)
	if err != nil || !facts.Unknown || facts.Superuser || len(facts.Elsewhere) > 0 {
		t.Errorf("without the right to read the rules: %+v, %v", facts, err)
	}
	admin(t, s, "postgres", `CREATE ROLE crew; GRANT crew TO app;
		GRANT SELECT ON pg_hba_file_rules TO app; GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO app`)
	facts, err = p.Account(t.Context(), r)
	got := strings.Join(facts.Elsewhere, "\n")
	const want = "line 3 of pg_hba.conf lets app in from 10.1.0.0 255.255.0.0\n" +
		"line 6 of pg_hba.conf lets app in from 172.16.0.9 255.255.255.255\n" +
		"line 7 of pg_hba.conf lets app in from db.example.com"
	if err != nil || facts.Unknown || got != want {
		t.Errorf("got %q, unknown %t, %v, want %q", got, facts.Unknown, err, want)
	}
}
