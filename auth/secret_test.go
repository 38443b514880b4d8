// A secret that no usual way of writing gives away.

package auth_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gprxy/auth"
)

func TestSecretIsNotWritten(t *testing.T) {
	const value = "hunter2-swordfish"
	account := auth.Account{User: "app", Password: value}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%T", "%10.3s"} {
		fmt.Fprintf(&out, verb+"\n", account.Password)
		fmt.Fprintf(&out, verb+"\n", account)
		fmt.Fprintf(&out, verb+"\n", &account)
		fmt.Fprintf(&out, verb+"\n", map[auth.Secret]auth.Secret{value: value})
		fmt.Fprintf(&out, verb+"\n", []any{account.Password})
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("login", "password", account.Password, "account", account, "pointer", &account)
	}
	text, err := json.Marshal([]any{account, &account, map[string]any{"password": account.Password}})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	text, err = xml.Marshal(account)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	fmt.Fprintln(&out, fmt.Errorf("log in as %v", account))
	out.WriteString(account.Password.String() + account.Password.GoString()) // fmt asks Format, others these

	written := strings.ToLower(out.String())
	for _, form := range []string{value, "hunter2", hex.EncodeToString([]byte("hunter2"))} {
		if strings.Contains(written, form) {
			t.Errorf("the secret was written as %s in:\n%s", form, out.String())
		}
	}
	if !strings.Contains(written, "[secret]") {
		t.Error("nothing stands in the secret's place")
	}
	if account.Password.Reveal() != value {
		t.Error("Reveal gives something else")
	}
}
