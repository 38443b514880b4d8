// Package review makes the page of `gprxy audit report --html`: one file that needs nothing else.
package review

import (
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"gprxy/store"
)

// Chain is what is known of the log's hash chain.
type Chain struct {
	Verified bool    `json:"verified"`
	Events   int64   `json:"events"`
	HeadSeq  int64   `json:"head_seq"`
	HeadHash string  `json:"head_hash"`
	Seconds  float64 `json:"seconds"` // that it took
}

// Report is a review with what stands around it.
type Report struct {
	Made  time.Time `json:"made"`
	Log   string    `json:"event_log"` // its path
	Chain Chain     `json:"chain"`
	*store.Review
}

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	style string
	//go:embed page.js
	script string
)

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"day":    func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
	"moment": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") },
	"figure": figure,
	"words":  func(s string) string { return strings.ReplaceAll(s, "_", " ") },
	"some":   some,
	"named":  named,
}).Parse(pageText))

// Write writes the page. Everything in it that comes from the log is escaped, and a policy keeps
// browsers from running or fetching anything else.
func Write(w io.Writer, r Report) error {
	err := page.Execute(w, struct {
		Report
		Style  template.CSS
		Script template.JS
		Policy string
		Charts charts
	}{r, template.CSS(style), template.JS(script), policy(), draw(r.Review)})
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

func policy() string {
	sum := func(text string) string {
		s := sha256.Sum256([]byte(text))
		return base64.StdEncoding.EncodeToString(s[:])
	}
	return fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; base-uri 'none'; form-action 'none'", sum(style), sum(script))
}

// figure writes a number with spaces between thousands.
func figure(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// named gives a name to what has none.
func named(name string) string {
	if name == "" {
		return "(none)"
	}
	return name
}

// some is the first few names, and how many more there are.
func some(shares []store.Share) (list struct {
	First []store.Share
	More  int
}) {
	const few = 4
	list.First = shares[:min(few, len(shares))]
	list.More = len(shares) - len(list.First)
	return list
}
