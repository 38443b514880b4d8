// gprxy version: which build this is.

package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"
)

// Set by the linker: -ldflags "-X gprxy/cmd.version=1.2.3 -X gprxy/cmd.commit=abc123".
var (
	version string
	commit  string
)

func versionCommand() command {
	return command{
		name:    "version",
		summary: "version, commit and Go version of this binary",
		examples: []example{
			{"gprxy version --json", "the same for programs"},
		},
		options: func() options { return &versionOptions{} },
	}
}

type versionOptions struct{ json bool }

func (o *versionOptions) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.json, "json", false, "print one JSON object")
}

func (o *versionOptions) validate(*call) error { return nil }

func (o *versionOptions) run(_ context.Context, c *call) error {
	b := thisBuild()
	if o.json {
		return json.NewEncoder(c.Out).Encode(b)
	}
	fmt.Fprintf(c.Out, "gprxy %s (commit %s, %s, %s)\n", b.Version, b.Commit, b.Go, b.Platform)
	return nil
}

type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// thisBuild prefers what the linker was told, then what the Go tool recorded.
func thisBuild() build {
	b := build{Version: version, Commit: commit, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if ok && b.Commit == "" {
		b.Commit = recordedCommit(info)
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	if b.Commit == "" {
		b.Commit = "unknown"
	}
	return b
}

func recordedCommit(info *debug.BuildInfo) string {
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = " with changes"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + modified
}
