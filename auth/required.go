// Claims that a token must have for its person to come at all.

package auth

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// RequiredClaim is a claim that must hold one of the values: as itself, or in its list.
type RequiredClaim struct {
	Name   string   // a claim's exact name, or a path of names with dots
	Values []string // compared exactly; true, false and numbers as JSON writes them
}

// ParseRequiredClaims reads "hd=example.com,email_verified=true,group=a|b".
func ParseRequiredClaims(text string) ([]RequiredClaim, error) {
	var all []RequiredClaim
	for part := range strings.SplitSeq(text, ",") {
		name, values, ok := strings.Cut(part, "=")
		claim := RequiredClaim{Name: strings.TrimSpace(name)}
		for value := range strings.SplitSeq(values, "|") {
			claim.Values = append(claim.Values, strings.TrimSpace(value))
		}
		switch {
		case !ok || claim.Name == "" || slices.Contains(claim.Values, ""):
			return nil, fmt.Errorf("%s is not a claim and its value", quote(strings.TrimSpace(part)))
		case slices.ContainsFunc(all, func(c RequiredClaim) bool { return c.Name == claim.Name }):
			return nil, fmt.Errorf("the claim %s stands twice; write its values in one, with | between", quote(claim.Name))
		}
		all = append(all, claim)
	}
	return all, nil
}

// require refuses a token that lacks one of the claims. What it says goes into the log, not to the client.
func (c claims) require(required []RequiredClaim) error {
	for _, r := range required {
		value, ok := c.lookup(r.Name)
		if !ok {
			return refuse(ReasonRequiredClaim, "it has no claim "+quote(r.Name))
		}
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		if !slices.ContainsFunc(list, r.allows) {
			return refuse(ReasonRequiredClaim, fmt.Sprintf("its claim %s is not %s", quote(r.Name), quote(strings.Join(r.Values, "|"))))
		}
	}
	return nil
}

func (r RequiredClaim) allows(value any) bool {
	switch value := value.(type) {
	case string:
		return slices.Contains(r.Values, value)
	case bool:
		return slices.Contains(r.Values, fmt.Sprint(value))
	case json.Number:
		return slices.Contains(r.Values, value.String())
	default:
		return false
	}
}
