package sso

import (
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// Whoever logged out while another process waited for the lock stays logged out.
func TestALoginThatIsGoneIsNotRenewed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	_, err := renewUnderLock(t.Context(), Config{}, path, Tokens{Issuer: "https://login.example.com", ClientID: "cli", Refresh: "refresh-1"},
		time.Now)
	if _, ok := errors.AsType[*NoLoginError](err); !ok {
		t.Errorf("got %v", err)
	}
}
