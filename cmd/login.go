// gprxy login: log in at the company's identity provider, in the browser or with a code.

package cmd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gprxy/auth/sso"
)

func loginCommand() command {
	return command{
		name:    "login",
		summary: "log in with the company login, in the browser",
		about:   "Opens the browser, waits for the login, and keeps it in ~/.gprxy/credentials, which only you can read. gprxy connect, tunnel and token use it and renew it. OIDC_ISSUER and OIDC_CLIENT_ID must be set, in the environment or .env, or by flag.",
		examples: []example{
			{"gprxy login", "log in; the settings from the environment or .env"},
			{"gprxy login --device", "on a machine without a browser: shows a code to enter elsewhere"},
			{"gprxy login --oidc-issuer https://login.example.com/ --oidc-client-id gprxy", "without settings"},
		},
		options: func() options { return &loginOptions{} },
	}
}

type loginOptions struct {
	device    bool
	noBrowser bool
	port      string
	sso       *ssoSettings
}

func (o *loginOptions) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.device, "device", false, "show an address and a code to open on another machine")
	fs.BoolVar(&o.noBrowser, "no-browser", false, "only print the address")
	fs.StringVar(&o.port, "port", "", "the `PORT` the browser comes back to, instead of CALLBACK_URL's; 0 for any")
	addSSOFlags(fs, append(whichLogin, "CALLBACK_URL", "CONNECTION_NAME", "ROLES_CLAIM", "USER_CLAIM")...)
}

func (o *loginOptions) validate(c *call) (err error) {
	if o.sso, err = loadSSO(c); err != nil {
		return err
	}
	if o.port != "" {
		n, err := strconv.ParseUint(o.port, 10, 16)
		if err != nil {
			return wrongValue("port", o.port, "--port with a number up to 65535, or 0 for any free port")
		}
		o.sso.login.Port = int(n)
	}
	if o.device && (o.port != "" || o.noBrowser) {
		return usagef("gprxy login --device", "--device needs no browser here, so --port and --no-browser mean nothing")
	}
	return o.sso.complete()
}

// complete reports what is missing to log in.
func (s *ssoSettings) complete() error {
	var missing []Problem
	if s.login.Issuer == "" {
		missing = append(missing, Problem{"OIDC_ISSUER", "is not set", "set it to your company's issuer, or AUTH0_TENANT to its Auth0 domain; whoever runs gprxy knows"})
	}
	if s.login.ClientID == "" {
		missing = append(missing, Problem{"OIDC_CLIENT_ID", "is not set", "set it to the id of the native client that gprxy has at the issuer; whoever runs gprxy knows"})
	}
	if len(missing) > 0 {
		return &SettingsError{Problems: missing, Command: "login"}
	}
	return nil
}

func (o *loginOptions) run(ctx context.Context, c *call) error {
	if o.sso.token != "" {
		c.warn(tokenVariable + " is set and will be used instead of this login")
	}
	var t sso.Tokens
	var err error
	if o.device {
		t, err = sso.LoginDevice(ctx, o.sso.login, func(p sso.Prompt) error { return showCode(c, p) })
	} else {
		t, err = sso.LoginBrowser(ctx, o.sso.login, o.showBrowser(c))
	}
	if err != nil {
		return err
	}
	if err := o.sso.store.Save(ctx, t); err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "Logged in as %s\n", printable(person(t, c.Now())))
	if t.Refresh == "" {
		c.note("The issuer gave no refresh token: log in again when this one has expired.")
	}
	return nil
}

// showBrowser is called once the callback can be answered.
func (o *loginOptions) showBrowser(c *call) func(string) error {
	return func(address string) error {
		fmt.Fprintf(c.Err, "Log in at this address:\n\n  %s\n\n", printable(address))
		why := c.noBrowser()
		switch {
		case o.noBrowser:
		case why != "":
			c.note("No browser is opened, because %s. gprxy login --device needs none.", why)
		default:
			if err := c.openBrowser(address); err != nil {
				c.note("No browser is opened: %s. Open the address yourself.", err)
			}
		}
		c.note("Waiting for the login in the browser; Ctrl-C gives up.")
		return nil
	}
}

func showCode(c *call, p sso.Prompt) error {
	fmt.Fprintf(c.Err, "Open this address on any machine:\n\n  %s\n\nand enter the code\n\n  %s\n\n", printable(p.URL), printable(p.UserCode))
	if p.CompleteURL != "" {
		fmt.Fprintf(c.Err, "This address has the code in it:\n\n  %s\n\n", printable(p.CompleteURL))
	}
	until := ""
	if !p.Expires.IsZero() {
		until = " until " + clock(p.Expires, c.Now())
	}
	c.note("Waiting for the login%s; Ctrl-C gives up.", until)
	return nil
}

// person is who is logged in, with which roles, until when.
func person(t sso.Tokens, now time.Time) string {
	text := t.User
	switch len(t.Roles) {
	case 0:
		text += " (no roles)"
	default:
		text += " (roles " + strings.Join(t.Roles, ", ") + ")"
	}
	if !t.Expires.IsZero() {
		text += " until " + clock(t.Expires, now)
	}
	return text
}

// clock is a moment of today as a time, else with its date.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04 UTC")
	}
	return t.Format("2006-01-02 15:04 UTC")
}
