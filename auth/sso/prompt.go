// What the issuer is asked to do in front of the person's eyes: OpenID Connect's prompt.

package sso

import (
	"errors"
	"slices"
	"strings"
)

// What OIDC_PROMPT may be besides the words of OpenID Connect Core section 3.1.2.1.
const (
	PromptAuto = "auto" // nothing, but consent where an issuer gives a refresh token only then
	PromptOff  = "off"  // nothing, whatever that costs

	promptConsent = "consent"
)

// PromptInstead is what to type for an OIDC_PROMPT that is refused.
const PromptInstead = "set it to " + PromptAuto + ", " + PromptOff +
	", or one or more of login, consent and select_account with blanks between"

// CheckPrompt says what is wrong with an OIDC_PROMPT. The standard's none is not among its words: it is for
// programs that must not show anything, and here somebody is to log in.
func CheckPrompt(text string) error {
	if text == "" || text == PromptAuto || text == PromptOff {
		return nil
	}
	words := strings.Fields(text)
	for _, word := range words {
		if !slices.Contains([]string{"login", promptConsent, "select_account"}, word) {
			return errors.New("has the word " + shown(word) + ", which means nothing here")
		}
	}
	if len(words) == 0 {
		return errors.New("is blank")
	}
	return nil
}

// prompt is what to send, and whether asking once more with consent may be needed.
//
// OpenID Connect Core section 11 lets an issuer give a refresh token for offline_access only with
// prompt=consent. Others show the person a page with it that they would not have seen, each time. So it is sent
// where an earlier login has found that it is needed; a login that asked for a refresh token and
// got none goes to the issuer a second time, with it.
func (f *flow) prompt() (prompt string, again bool) {
	switch f.config.Prompt {
	case PromptOff:
		return "", false
	case PromptAuto, "":
	default:
		return strings.Join(strings.Fields(f.config.Prompt), " "), false
	}
	if !f.wantsRefresh() {
		return "", false
	}
	switch f.config.Habits.consent(f.config) {
	case consentNeeded:
		return promptConsent, false
	case consentUseless:
		return "", false
	}
	return "", true
}

// wantsRefresh reports whether the login asks for a refresh token.
func (f *flow) wantsRefresh() bool { return slices.Contains(f.oauth.Scopes, scopeOffline) }

const scopeOffline = "offline_access"
