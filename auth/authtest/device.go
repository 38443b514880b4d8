// The device authorization endpoint (RFC 8628): a code for the device, and one for the person.

package authtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// device is a program without a browser that waits for a person.
type device struct {
	asked
	userCode string
	expires  time.Time

	// The issuer's mutex guards the rest.
	interval time.Duration
	polled   time.Time // when the last poll came; zero: none has
	state    deviceState
	login    string // who approved it
	authTime time.Time
}

type deviceState int

const (
	pending deviceState = iota
	approved
	denied
	spent // the device has its tokens
)

func (i *Issuer) serveDeviceCode(w http.ResponseWriter, r *http.Request) {
	answer, refused := i.deviceAnswer(w, r)
	if refused != nil {
		refused.write(w)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (i *Issuer) deviceAnswer(w http.ResponseWriter, r *http.Request) (map[string]any, *refusal) {
	form, refused := readForm(w, r)
	if refused != nil {
		return nil, refused
	}
	client, refused := i.clientOf(r, form)
	if refused != nil {
		return nil, refused
	}
	asked, refused := i.readAsked(client, form)
	if refused != nil {
		return nil, refused
	}
	asked.consented = true // the page asks
	deviceCode, d, refused := i.newDevice(asked)
	if refused != nil {
		return nil, refused
	}
	page := i.base + DevicePath
	return map[string]any{
		"device_code":               deviceCode,
		"user_code":                 d.userCode,
		"verification_uri":          page,
		"verification_uri_complete": page + "?" + url.Values{"user_code": {d.userCode}}.Encode(),
		"expires_in":                int(i.options.DeviceLife.Seconds()),
		"interval":                  int(math.Ceil(i.options.DeviceInterval.Seconds())),
	}, nil
}

func (i *Issuer) newDevice(a asked) (string, *device, *refusal) {
	now := i.options.Now()
	d := &device{asked: a, userCode: i.newUserCode(), interval: i.options.DeviceInterval, expires: now.Add(i.options.DeviceLife)}
	deviceCode := i.newSecret()
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, taken := i.waiting.get(d.userCode, now); taken { // once in 25 thousand million
		return "", nil, full()
	}
	// Kept longer than it is good for, so that a late poll is told that it is late.
	if until := d.expires.Add(i.options.DeviceLife); !i.devices.put(deviceCode, d, now, until) {
		return "", nil, full()
	}
	if !i.waiting.put(d.userCode, d, now, d.expires) {
		i.devices.remove(deviceCode)
		return "", nil, full()
	}
	return deviceCode, d, nil
}

// userAlphabet spells no words, and has nothing that looks like something else
// (RFC 8628 section 6.1).
const userAlphabet = "BCDFGHJKLMNPQRSTVWXZ"

func (i *Issuer) newUserCode() string {
	groups := 2
	if i.options.LongCodes {
		groups = 4
	}
	var text strings.Builder
	for text.Len() < groups*5-1 {
		if text.Len()%5 == 4 {
			text.WriteByte('-')
			continue
		}
		var b [1]byte
		_, _ = rand.Read(b[:])                     // never fails
		if int(b[0]) < 256-256%len(userAlphabet) { // else the first letters would be likelier
			text.WriteByte(userAlphabet[int(b[0])%len(userAlphabet)])
		}
	}
	return text.String()
}

// readUserCode forgives how a person typed it: case, hyphens, blanks.
func readUserCode(typed string) string {
	if len(typed) > 100 {
		return ""
	}
	var letters strings.Builder
	for _, r := range strings.ToUpper(typed) {
		if !strings.ContainsRune(userAlphabet, r) {
			continue
		}
		if letters.Len()%5 == 4 {
			letters.WriteByte('-')
		}
		letters.WriteRune(r)
	}
	return letters.String()
}

// Approve lets the device with a user code in, as a person who logs in with
// this name at the device page would.
func (i *Issuer) Approve(userCode, login string) error {
	if _, known := i.options.Users[login]; !known {
		return fmt.Errorf("nobody logs in to the test issuer as %q", login)
	}
	return i.decide(userCode, approved, login)
}

// Deny turns the device with a user code away.
func (i *Issuer) Deny(userCode string) error { return i.decide(userCode, denied, "") }

var errNoDevice = errors.New("no device waits with this user code: it is mistyped, has expired, or was decided already")

func (i *Issuer) decide(userCode string, state deviceState, login string) error {
	now := i.options.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	d, ok := i.waiting.get(readUserCode(userCode), now)
	if !ok {
		return errNoDevice
	}
	i.waiting.remove(d.userCode) // decided once
	d.state, d.login, d.authTime = state, login, now
	return nil
}

func (i *Issuer) waitingDevice(userCode string) (*device, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.waiting.get(readUserCode(userCode), i.options.Now())
}
