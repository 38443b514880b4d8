// gprxy logout: revoke the login at the issuer, then forget it here.

package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"gprxy/auth/sso"
	"gprxy/cmd/settings"
	"gprxy/cmd/terminal"
)

func logoutCommand() command {
	return command{
		name:    "logout",
		summary: "revoke the login and forget it",
		about: "Tells the issuer to revoke the login, and removes it from ~/.gprxy/credentials whether the issuer answers or not. A token " +
			"that was handed out stays valid until it expires: gprxy verifies tokens by itself.",
		examples: []example{
			{"gprxy logout", "the only login there is"},
			{"gprxy logout --all", "all of them"},
		},
		options: func() options { return &logoutOptions{} },
	}
}

type logoutOptions struct {
	all bool
	sso *ssoSettings
}

func (o *logoutOptions) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.all, "all", false, "every login, at whatever issuer")
	settings.AddPersonFlags(fs, settings.WhichLogin...)
}

func (o *logoutOptions) validate(c *call) (err error) {
	o.sso, err = loadSSO(c)
	return err
}

func (o *logoutOptions) run(ctx context.Context, c *call) error {
	logins, err := o.logins(ctx)
	if open, ok := errors.AsType[*sso.PermissionError](err); ok {
		// Others could read it: all the more reason to end it.
		c.warn(open.Error())
		if err = o.shut(); err == nil {
			logins, err = o.logins(ctx)
		}
	}
	if _, nobody := errors.AsType[*sso.NoLoginError](err); nobody || err == nil && len(logins) == 0 {
		c.note("Nobody is logged in.")
		return nil
	}
	if err != nil {
		return err
	}
	var problems []error
	for _, t := range logins {
		problems = append(problems, o.end(ctx, c, t))
	}
	return errors.Join(problems...)
}

// shut takes the credentials away from others.
func (o *logoutOptions) shut() error {
	path := o.sso.store.Path
	return errors.Join(os.Chmod(filepath.Dir(path), 0o700), os.Chmod(path, 0o600))
}

func (o *logoutOptions) logins(ctx context.Context) ([]sso.Tokens, error) {
	if o.all {
		return o.sso.store.All(ctx)
	}
	t, err := o.sso.store.Load(ctx, o.sso.login.Issuer, o.sso.login.ClientID, o.sso.login.Audience)
	return []sso.Tokens{t}, err
}

// end deletes what is here even if the issuer cannot be told: a person who logs out wants it gone.
func (o *logoutOptions) end(ctx context.Context, c *call, t sso.Tokens) error {
	config := o.sso.login
	config.Issuer, config.ClientID, config.Audience = t.Issuer, t.ClientID, t.Audience
	refused := sso.Revoke(ctx, config, t)
	if err := o.sso.store.Delete(ctx, t); err != nil {
		return errors.Join(refused, err)
	}
	fmt.Fprintf(c.Out, "Logged out %s\n", terminal.Printable(t.User))
	if refused != nil {
		return fmt.Errorf("the login was removed here, but it could not be revoked at the issuer: %w", refused)
	}
	return nil
}
