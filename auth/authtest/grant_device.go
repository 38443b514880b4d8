// A device's poll: tokens once the person has approved it.

package authtest

import (
	"net/url"
	"time"
)

// slower is what too fast a poll adds to the interval (RFC 8628 section 3.5).
const slower = 5 * time.Second

func (i *Issuer) redeemDevice(client Client, form url.Values) (order, *refusal) {
	now := i.options.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	d, ok := i.devices.get(form.Get("device_code"), now)
	switch {
	case !ok || d.state == spent || client.ID != d.client.ID:
		return order{}, refuse("invalid_grant", "the device code is not known, used already, or another client's")
	case d.state == denied:
		return order{}, refuse("access_denied", "the person denied the login")
	case !now.Before(d.expires):
		return order{}, refuse("expired_token", "the device code has expired")
	case d.state == pending:
		return order{}, d.poll(now)
	case !answersChallenge(d.challenge, form.Get("code_verifier")):
		return order{}, refuse("invalid_grant", "code_verifier does not answer the challenge (PKCE)")
	}
	audiences, refused := chooseAudiences(form, d.audiences)
	if refused != nil {
		return order{}, refused
	}
	g := i.newGrant(d.asked, d.login, d.authTime)
	if g == nil {
		return order{}, full()
	}
	d.state = spent
	return order{g, g.refreshToken(), d.scopes, audiences, d.nonce}, nil
}

// poll answers a device that must wait. A fifth of the interval is forgiven: the
// network may hold up one poll longer than the next.
func (d *device) poll(now time.Time) *refusal {
	soon := d.polled.Add(d.interval - d.interval/5)
	first := d.polled.IsZero()
	d.polled = now
	if !first && now.Before(soon) {
		d.interval += slower
		return refuse("slow_down", "the device polls too fast: 5 s more between polls")
	}
	return refuse("authorization_pending", "the person has not decided yet")
}
