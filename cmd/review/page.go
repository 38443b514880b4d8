// Package review makes the page of `gprxy audit report --html`: one file that needs nothing else.
package review

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
	"unicode"

	"gprxy/store"
)

// Chain is what is known of the log's hash chain.
type Chain struct {
	Verified bool    `json:"verified"`
	Events   int64   `json:"events"`
	HeadSeq  int64   `json:"head_seq"`
	HeadHash string  `json:"head_hash"`
	Seconds  float64 `json:"seconds"` // that it took
	Doubts   []Doubt `json:"doubts"`
}

// Doubt is something about an event that is possible and unlikely.
type Doubt struct {
	Seq  int64  `json:"seq"`
	What string `json:"what"`
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
	var b bytes.Buffer
	err := page.Execute(&b, struct {
		Report
		Style  template.CSS
		Script template.JS
		Policy string
		Charts charts
	}{r, template.CSS(style), template.JS(script), policy(), draw(r.Review)})
	if err == nil {
		_, err = w.Write(bytes.Map(visible, b.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// visible puts a sign in the place of what would not be seen, or would turn the text around it: names in
// the log are as strangers chose them.
func visible(r rune) rune {
	if unicode.Is(unicode.Cf, r) || unicode.IsControl(r) && r != '\n' && r != '\t' {
		return unicode.ReplacementChar
	}
	return r
}

func policy() string {
	sum := func(text string) string {
		s := sha256.Sum256([]byte(text))
		return base64.StdEncoding.EncodeToString(s[:])
	}
	return fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; base-uri 'none'; form-action 'none'", sum(style),
		sum(script))
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
	More  string
}) {
	const few = 4
	list.First = shares[:min(few, len(shares))]
	if n := len(shares) - len(list.First); n > 0 {
		list.More = fmt.Sprintf("and %d more", n)
		if shares[len(shares)-1].Name == store.OtherNames {
			list.More = fmt.Sprintf("and more than %d more", n)
		}
	}
	return list
}
