// gprxy login: log in at the company's identity provider, in the browser or with a code.

package cmd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gprxy/auth/sso"
	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"
)

func loginCommand() command {
	return command{
		name:    "login",
		summary: "log in with the company login, in the browser",
		about: "Opens the browser, waits for the login, and keeps it in ~/.gprxy/credentials, which only you can read. gprxy connect, tunnel " +
			"and token use it and renew it. OIDC_ISSUER and OIDC_CLIENT_ID must be set, in the environment or .env, or by flag: --oidc-issuer " +
			"is OIDC_ISSUER, and so on. " +
			"Where no browser can be opened, use one on another machine and paste the address that it ends at.",
		examples: []example{
			{"gprxy login", "log in; the settings from the environment or .env"},
			{"gprxy login --device", "on a machine without a browser: shows a code to enter elsewhere"},
			{"gprxy login --no-browser", "likewise, for issuers without the device grant: asks for the address that a browser elsewhere ended at"},
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
	settings.AddPersonFlags(fs, append(settings.WhichLogin, "OIDC_SCOPES", "OIDC_PROMPT", "CALLBACK_URL", "CONNECTION_NAME", "ROLES_CLAIM",
		"USER_CLAIM")...)
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
	var missing []settings.Problem
	if s.login.Issuer == "" {
		missing = append(missing, settings.Problem{Variable: "OIDC_ISSUER", Wrong: "is not set",
			Instead: "set it to your company's issuer, or AUTH0_TENANT to its Auth0 domain; whoever runs gprxy knows"})
	}
	if s.login.ClientID == "" {
		missing = append(missing, settings.Problem{Variable: "OIDC_CLIENT_ID", Wrong: "is not set",
			Instead: "set it to the id of the native client that gprxy has at the issuer; whoever runs gprxy knows"})
	}
	if len(missing) > 0 {
		return &settings.Error{Problems: missing, Command: "login"}
	}
	return nil
}

func (o *loginOptions) run(ctx context.Context, c *call) error {
	if o.sso.token != "" {
		c.warn(settings.TokenVariable + " is set and will be used instead of this login")
	}
	var t sso.Tokens
	var err error
	if o.device {
		t, err = sso.LoginDevice(ctx, o.sso.login, func(p sso.Prompt) error { return showCode(c, p) })
	} else {
		t, err = sso.LoginBrowser(ctx, o.browserConfig(c), o.showBrowser(c))
	}
	if err != nil {
		return err
	}
	if err := o.sso.store.Save(ctx, t); err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "Logged in as %s\n", terminal.Printable(person(t, c.Now())))
	o.tellRenewal(c, t)
	if hint := o.sso.roleHint(t); hint != "" {
		c.note("No roles: %s", hint)
	}
	return nil
}

// tellRenewal says that a login will not be renewed, and what may change that.
func (o *loginOptions) tellRenewal(c *call, t sso.Tokens) {
	if t.Refresh != "" {
		return
	}
	until := "when it has expired"
	if !t.Expires.IsZero() {
		until = "after " + clock(t.Expires, c.Now())
	}
	c.note("This login will not be renewed, because %s: log in again %s.", o.whyNoRenewal(), until)
}

func (o *loginOptions) whyNoRenewal() string {
	const offline = "offline_access"
	switch l := o.sso.login; {
	case len(l.Scopes) > 0 && !slices.Contains(l.Scopes, offline):
		return "OIDC_SCOPES does not have " + offline
	case o.device:
		return "the issuer gave no refresh token (allow them for the client there)"
	case l.Prompt == sso.PromptOff:
		return "the issuer gave no refresh token, and OIDC_PROMPT=off keeps gprxy from asking for consent, with which it might"
	default:
		return "the issuer gave no refresh token (allow them for the client there, with the scope " + offline +
			"; then OIDC_PROMPT=consent may be needed once)"
	}
}

// browserConfig is the login's, with the ways to speak to the person.
func (o *loginOptions) browserConfig(c *call) sso.Config {
	config := o.sso.login
	config.Busy = func(e *sso.PortError) { c.note("Port of CALLBACK_URL not used: %s, %v.", e.Address, e.Err) }
	if desk := newPasteDesk(c); desk != nil && (o.noBrowser || c.noBrowser() != "") {
		config.Paste = desk.ask
	}
	return config
}

// showBrowser is called once the callback can be answered, and again if the issuer has to be asked once more.
func (o *loginOptions) showBrowser(c *call) func(string) error {
	again := false
	return func(address string) error {
		if again {
			fmt.Fprint(c.Err, "The issuer renews this login only with your consent. To give it, log in once more.\n\n")
		}
		again = true
		fmt.Fprintf(c.Err, "Log in at this address:\n\n  %s\n\n", terminal.Printable(address))
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
		if (o.noBrowser || why != "") && newPasteDesk(c) != nil {
			c.note("If the browser is on another machine, it ends at a page that cannot be opened. Paste the address of that page here.")
		}
		return nil
	}
}

func showCode(c *call, p sso.Prompt) error {
	fmt.Fprintf(c.Err, "Open this address on any machine:\n\n  %s\n\nand enter the code\n\n  %s\n\n", terminal.Printable(p.URL),
		terminal.Printable(p.UserCode))
	if p.CompleteURL != "" {
		fmt.Fprintf(c.Err, "This address has the code in it:\n\n  %s\n\n", terminal.Printable(p.CompleteURL))
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
