// Passwords are prepared as the server prepares those it keeps.
package pool_test

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"gprxy/pool"
)

// TestPasswordsArePreparedAsPostgreSQLDoes compares with the verifiers that a real server makes of the same passwords.
func TestPasswordsArePreparedAsPostgreSQLDoes(t *testing.T) {
	t.Parallel()
	passwords := []string{"right", "tab\there", "½", "oﬃce", "ＡＢＣ", "ｶﾞ", "mc²", "Ⅳ", "①", "™", "se\u00adcret", "\u00ad\u00ad",
		"se\u200dcret", "\ufeffx",
		"❤\ufe0f", "a\u00a0b", "a\u3000b", "a\u200bb", "a\u1680b", "café", "cafe\u0301", "\u212b", "\u1112\u1161\u11ab", "סוד", "אa",
		"אa\u00a0½", "סוד1½", "\ufb2a",
		"\ufb2a\u05d0", "א½א", "😀½", "🫠½", "ẞ½", "🄐", "\ue000½", "\ufffc\u00a0", "\ufffde\u0301", "\u2ff0e\u0301", "a\u2028b½", "\u200f½",
		"\U000e0041½", "\u0340½",
		"\u0341e\u0301", "\u06dd½", "\u180e½", "\u0085½", "\u2060½", "\u034f½", "ſ", "\ufdfa", "ǆ", "\u1e9b\u0323", "\u0344"}
	sql := "SET password_encryption = 'scram-sha-256';"
	for i, password := range passwords {
		sql += fmt.Sprintf("CREATE ROLE prepared%d PASSWORD '%s';", i, password)
	}
	if err := server.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	rows, err := server.Query(t.Context(), "postgres", "SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'prepared%' ORDER BY oid")
	if err != nil || len(rows) != len(passwords) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, password := range passwords {
		if !verifies(t, rows[i][0], pool.PreparedPassword(password)) {
			t.Errorf("%+q becomes %+q, and something else in PostgreSQL", password, pool.PreparedPassword(password))
		}
	}
	if bytes := "caf\xe9½"; pool.PreparedPassword(bytes) != bytes {
		t.Error("what is no UTF-8 is changed")
	}
}

// verifies compares with a verifier: SCRAM-SHA-256$iterations:salt$stored key:server key.
func verifies(t *testing.T, verifier, password string) bool {
	t.Helper()
	parts := strings.FieldsFunc(verifier, func(r rune) bool { return r == '$' || r == ':' })
	if len(parts) != 5 {
		t.Fatalf("the verifier is %q", verifier)
	}
	iterations, err := strconv.Atoi(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, salted)
	mac.Write([]byte("Server Key"))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)) == parts[4]
}
