// gprxy start: run the proxy.

package cmd

import (
	"context"
	"log/slog"

	"gprxy/cmd/settings"

	"github.com/spf13/pflag"
)

func startCommand() command {
	return command{
		name:    "start",
		summary: "run the proxy",
		about: "Runs until SIGTERM or SIGINT, then lets running sessions finish for SHUTDOWN_TIMEOUT; a second signal ends it at once. " +
			"SIGHUP replaces the connections to PostgreSQL. All wrong settings are reported together.",
		settings: true,
		examples: []example{
			{"GPRXY_USER=app GPRXY_PASS_FILE=/run/secrets/app gprxy start",
				"people log in with their database password and are served by the role app"},
			{"gprxy start --check", "say everything that is wrong with the settings, and start nothing"},
			{"gprxy start --proxy-host 0.0.0.0 --proxy-cert server.crt --proxy-key server.key",
				"listen on every interface, with TLS; the rest from .env"},
		},
		options: func() options { return &startOptions{} },
	}
}

type startOptions struct {
	check    bool
	settings settings.Settings
	log      *slog.Logger
}

func (o *startOptions) flags(fs *pflag.FlagSet) {
	settings.AddFlags(fs)
	fs.BoolVar(&o.check, "check", false, "only check the settings of all sources, and start nothing: exit code 0 if they are complete and "+
		"consistent, else 2")
}

func (o *startOptions) validate(c *call) error {
	s, warnings, err := settings.Load(c.sources())
	if err != nil {
		c.warn(warnings...)
		return err
	}
	if o.settings = s; o.check {
		c.warn(warnings...)
		return nil
	}
	o.log = newLogger(c.IO, c.Environment, s.LogLevel, s.LogFormat)
	for _, w := range warnings {
		o.log.Warn(w)
	}
	return nil
}

func (o *startOptions) run(ctx context.Context, c *call) error {
	if o.check {
		c.note("the settings are complete and consistent")
		return nil
	}
	p, err := openProxy(ctx, o.settings, o.log, c.Environment)
	if err != nil {
		return err
	}
	return p.run(ctx)
}
