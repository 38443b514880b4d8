// The way back for a browser that cannot come back: the person copies the address that it ended at.

package sso

import (
	"context"
	"net/url"
	"strings"
)

// maxPasted is how long such an address may be: as long as a request that brings it would.
const maxPasted = maxCallback

// askForPaste asks for the address until one is this round's answer, or ctx ends. What is pasted is judged as what a
// browser brings: its state must be this login's, and the code in it is worth nothing without PKCE's verifier. It is
// repeated nowhere.
func (b *callback) askForPaste(ctx context.Context, paste func(ctx context.Context, problem string) (string, error)) {
	for problem := ""; ; {
		text, err := paste(ctx, problem)
		if err != nil || ctx.Err() != nil {
			return
		}
		if problem = b.takePasted(text); problem == "" {
			return
		}
	}
}

// takePasted returns what is wrong with a text, "" if it was taken.
func (b *callback) takePasted(text string) (problem string) {
	text = strings.Trim(strings.TrimSpace(text), "\"'<>`")
	if len(text) > maxPasted {
		return "That is longer than any such address."
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text // some browsers do not show or copy it
	}
	u, err := url.Parse(text)
	if err != nil || !strings.EqualFold(u.Host, b.host) || u.EscapedPath() != b.path {
		return "That is not where the browser ends: the whole address is needed, which begins with " + b.url + "?"
	}
	query, err := readQuery(u.RawQuery)
	if err != nil || query["code"] == "" && query["error"] == "" || query["state"] == "" {
		return "That is not the whole address: it has no code and state in it. It begins with " + b.url + "?"
	}
	if _, verdict := b.take(query, true); verdict == stray {
		return "That is the answer to another login. Open the address above, and no older one."
	}
	return ""
}
