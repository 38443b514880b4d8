// Login without a browser on this machine: the device grant (RFC 8628).

package sso

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"gprxy/auth"
)

const (
	maxDeviceLife   = time.Hour        // however long the issuer says that the code lives
	usualDeviceLife = 15 * time.Minute // when it does not say
	maxPollInterval = time.Minute
	maxPollFailures = 6 // times the issuer may not answer: about three minutes of outage are survived
)

// Prompt is what the person must see to log in on another device.
type Prompt struct {
	URL         string    // to open there
	UserCode    string    // to enter there
	CompleteURL string    // URL with the code in it; may be empty
	Expires     time.Time // of the code
}

// LoginDevice logs a person in on another device. It calls show with what to open and
// enter there, and waits until that is done, refused, or the code expired.
func LoginDevice(ctx context.Context, c Config, show func(Prompt) error) (Tokens, error) {
	f, err := openFlow(ctx, c)
	if err != nil {
		return Tokens{}, err
	}
	defer f.close()
	if f.issuer.Device == "" {
		return Tokens{}, f.noDevice("")
	}
	device, err := f.startDevice(ctx)
	if err != nil {
		return Tokens{}, err
	}
	err = show(Prompt{URL: device.VerificationURI, UserCode: device.UserCode, CompleteURL: device.VerificationURIComplete,
		Expires: device.Expiry})
	if err != nil {
		return Tokens{}, fmt.Errorf("show the code of the login: %w", err)
	}
	token, err := f.pollDevice(ctx, device)
	if err != nil {
		return Tokens{}, err
	}
	return f.accept(ctx, token, "")
}

// startDevice gets a code and makes sure that it can be shown and waited for.
func (f *flow) startDevice(ctx context.Context) (*oauth2.DeviceAuthResponse, error) {
	device, err := f.askDevice(ctx)
	if err != nil {
		return nil, f.deviceRefusal(ctx, err)
	}
	if err := checkDevice(device); err != nil {
		return nil, &UnreachableError{Issuer: f.config.Issuer, Answered: true,
			Err: fmt.Errorf("its answer to the device login cannot be used: %w", err)}
	}
	// x/oauth2 panics over a negative interval and waits out any long one.
	device.Interval = min(device.Interval, int64(maxPollInterval/time.Second))
	if device.Interval < 1 {
		device.Interval = 5 // RFC 8628 section 3.2
	}
	now := time.Now() // as x/oauth2 does: this is about waiting, not about a token's times
	if device.Expiry.IsZero() {
		device.Expiry = now.Add(usualDeviceLife)
	}
	if most := now.Add(maxDeviceLife); device.Expiry.After(most) {
		device.Expiry = most
	}
	return device, nil
}

// noDevice is for an issuer, or a client of it, without the device grant.
func (f *flow) noDevice(why string) error {
	if why != "" {
		why = " (" + why + ")"
	}
	return &UnsupportedError{Issuer: f.config.Issuer, What: "login on another device" + why,
		Instead: "use gprxy login without --device: on a machine without a browser, it takes the address that a browser elsewhere ended at"}
}

// deviceRefusal: some issuers announce the grant and have it switched off, for all or for this client.
func (f *flow) deviceRefusal(ctx context.Context, err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		switch code := status(refused.Response); {
		case code == http.StatusNotFound, code == http.StatusMethodNotAllowed, code == http.StatusGone, code == http.StatusNotImplemented:
			return f.noDevice(fmt.Sprintf("its address for that answered %d", code))
		case refused.ErrorCode == "unsupported_grant_type", refused.ErrorCode == "unauthorized_client":
			return f.noDevice("to the client " + shown(f.config.ClientID) + ": " + refused.ErrorCode +
				colon(clean(refused.ErrorDescription, f.config.ClientSecret)))
		}
	}
	return f.refusal(ctx, err, f.config.ClientSecret)
}

// askDevice makes the request.
func (f *flow) askDevice(ctx context.Context) (device *oauth2.DeviceAuthResponse, err error) {
	limit, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	bound := *f.config.HTTP
	if bound.Transport == nil {
		bound.Transport = http.DefaultTransport
	}
	bound.Transport = boundTo{ctx: limit, next: bound.Transport}
	defer func() {
		if recover() != nil { // so x/oauth2 takes the answer "null"
			err = errors.New("the answer is no object")
		}
	}()
	return f.oauth.DeviceAuth(context.WithValue(limit, oauth2.HTTPClient, &bound), f.audience()...)
}

// checkDevice refuses what must not come near a terminal or a browser.
func checkDevice(d *oauth2.DeviceAuthResponse) error {
	if d.DeviceCode == "" {
		return errors.New("it has no device code")
	}
	if d.UserCode == "" || len(d.UserCode) > maxShown || !isPrintable(d.UserCode) {
		return errors.New("its user code cannot be shown")
	}
	if _, err := checkAddress(d.VerificationURI); err != nil {
		return fmt.Errorf("verification_uri: %w", err)
	}
	if d.VerificationURIComplete == "" {
		return nil
	}
	if _, err := checkAddress(d.VerificationURIComplete); err != nil {
		return fmt.Errorf("verification_uri_complete: %w", err)
	}
	return nil
}

// pollDevice waits for the person. An issuer that does not answer for a while is asked
// again, less and less often (RFC 8628 section 3.5).
func (f *flow) pollDevice(ctx context.Context, device *oauth2.DeviceAuthResponse) (*oauth2.Token, error) {
	for failures := 0; ; {
		token, err := f.oauth.DeviceAccessToken(f.context(ctx), device, f.resource()...)
		if err == nil {
			return token, nil
		}
		if ctx.Err() == nil && !time.Now().Before(device.Expiry) {
			return nil, &DeniedError{Issuer: f.config.Issuer, Code: "expired_token"}
		}
		if err = f.refusal(ctx, err, auth.Secret(device.DeviceCode), f.config.ClientSecret); !isPassing(err) {
			return nil, deviceWords(err)
		}
		if failures++; failures == maxPollFailures {
			return nil, err
		}
		device.Interval = min(2*device.Interval, int64(maxPollInterval/time.Second))
	}
}

// deviceWords: what is a dead code in the other flow is here one that nobody entered in time.
func deviceWords(err error) error {
	if denied, ok := errors.AsType[*DeniedError](err); ok && denied.Code == "invalid_grant" && strings.Contains(denied.Reason, "expired") {
		denied.Code = "expired_token"
	}
	return err
}
