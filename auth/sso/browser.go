// Login in a browser: authorization code with PKCE, and the browser's way back over loopback.

package sso

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"gprxy/auth"
)

// loginLimit is how long a person may take, second factors and forgotten passwords included.
const loginLimit = 10 * time.Minute

// errLoginLimit is the cause of a context that loginLimit ended.
var errLoginLimit = errors.New("the login took too long")

// LoginBrowser logs a person in. It calls show with the address to open once the
// callback's listener is up, and waits for the browser to come back, or for the person to paste the
// address that it ended at, for loginLimit at most. When it returns, the listener is gone and the page in the
// browser says how it ended. show may be called a second time, if the answer was pasted.
func LoginBrowser(ctx context.Context, c Config, show func(url string) error) (Tokens, error) {
	redirects, err := c.redirects()
	if err != nil {
		return Tokens{}, err
	}
	f, err := openFlow(ctx, c)
	if err != nil {
		return Tokens{}, err
	}
	defer f.close()
	if f.issuer.Authorization == "" {
		return Tokens{}, &UnsupportedError{Issuer: f.config.Issuer, What: "login in a browser", Instead: "try gprxy login --device"}
	}
	back, err := listenForCallback(ctx, redirects, c.Busy)
	if err != nil {
		return Tokens{}, err
	}
	defer back.close()
	f.oauth.RedirectURL = back.url
	return f.loginBrowser(ctx, back, show)
}

// loginBrowser goes to the issuer, and once more if that is what a refresh token takes.
func (f *flow) loginBrowser(ctx context.Context, back *callback, show func(url string) error) (t Tokens, err error) {
	defer func() { back.finish(t, err) }()
	prompt, again := f.prompt()
	if t, err = f.visit(ctx, back, prompt, show); err != nil || t.Refresh != "" || !again {
		return t, err
	}
	before, pasted := back.again()
	second, refused := f.visit(ctx, back, promptConsent, func(address string) error {
		if pasted {
			return show(address)
		}
		back.sendOn(before, address)
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return Tokens{}, refused // Ctrl-C gives up
	case refused != nil:
		return t, nil // the first visit was a login, if one that cannot be renewed
	case second.Refresh != "":
		f.config.Habits.keepConsent(ctx, f.config, consentNeeded)
	default:
		f.config.Habits.keepConsent(ctx, f.config, consentUseless)
	}
	return second, nil
}

// visit is one way to the issuer and back: state, nonce and PKCE's verifier are its own.
func (f *flow) visit(ctx context.Context, back *callback, prompt string, show func(url string) error) (Tokens, error) {
	nonce, verifier := rand.Text(), oauth2.GenerateVerifier()
	options := append(f.audience(), oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", nonce))
	if f.config.Connection != "" {
		options = append(options, oauth2.SetAuthURLParam("connection", f.config.Connection))
	}
	if prompt != "" {
		options = append(options, oauth2.SetAuthURLParam("prompt", prompt))
	}
	if err := show(f.oauth.AuthCodeURL(back.current().state, options...)); err != nil {
		return Tokens{}, fmt.Errorf("show the address of the login: %w", err)
	}
	answer, err := f.await(ctx, back)
	if err != nil {
		return Tokens{}, err
	}
	if err := f.checkAnswer(answer); err != nil {
		return Tokens{}, err
	}
	token, err := f.oauth.Exchange(f.context(ctx), answer.code.Reveal(), append(f.resource(), oauth2.VerifierOption(verifier))...)
	if err != nil {
		return Tokens{}, f.refusal(ctx, err, answer.code, auth.Secret(verifier), f.config.ClientSecret)
	}
	return f.accept(ctx, token, nonce)
}

// await waits for the answer, however it comes. Nothing asks the person any more when it returns.
func (f *flow) await(ctx context.Context, back *callback) (answer, error) {
	asking, stop := context.WithCancel(ctx)
	var asked sync.WaitGroup
	if f.config.Paste != nil {
		asked.Go(func() { back.askForPaste(asking, f.config.Paste) })
	}
	a, err := back.wait(ctx)
	stop()
	asked.Wait()
	return a, err
}

// checkAnswer looks at an answer whose state is right.
func (f *flow) checkAnswer(a answer) error {
	switch {
	case a.issuer != "" && a.issuer != f.config.Issuer:
		return &StateError{Reason: "it is from the issuer " + shown(a.issuer) + " (iss), not from " + shown(f.config.Issuer)}
	case a.issuer == "" && f.issuer.SendsIssuer: // RFC 9207 section 2.4
		return &StateError{Reason: "it does not say which issuer it is from (iss), which " + shown(f.config.Issuer) + " always does"}
	case a.refused != "":
		return f.refused(0, a.refused, clean(a.reason))
	case a.code == "":
		return &StateError{Reason: "it has neither a code nor an error"}
	}
	return nil
}
