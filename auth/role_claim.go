// Reading the roles claim: what of it can be a mapped role, in the forms that issuers write it in.

package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
)

// maxRoles bounds the roles of a person that have no mapping: they only stand in the log.
const maxRoles = 1000

// heldRoles is what a token says of the roles of its person.
type heldRoles struct {
	names   []string // in the token's order, each once
	ignored int      // entries that cannot be a mapped role, and those beyond maxRoles
	// overage: the issuer left the groups out of the token because they are too many (Entra ID).
	overage bool
}

// roles reads the claim, or, when no setting names it, the first of the usual ones that holds a role. An
// entry that cannot be a mapped role takes no other role away: one odd group among a hundred must not
// keep its members out. mapped may be nil.
func (c claims) roles(claim string, mapped func(role string) bool) heldRoles {
	candidates := []string{claim}
	if claim == "" {
		candidates = c.rolesClaims()
	}
	var held heldRoles
	for _, name := range candidates {
		if value, ok := c.lookup(name); ok {
			held.add(roleEntries(name, value), mapped)
		}
		if len(held.names) > 0 {
			return held
		}
	}
	held.overage = slices.ContainsFunc(candidates, c.leftOut)
	return held
}

// rolesClaims are the places where roles stand when no setting says so. Auth0 wants
// custom claims under a URL, such as https://example.com/roles.
func (c claims) rolesClaims() []string {
	names := []string{"roles", "role", "groups"}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if strings.HasSuffix(name, "/roles") {
			names = append(names, name)
		}
	}
	return names
}

// leftOut tells whether the issuer says that it left the claim out, to be asked for elsewhere: in
// _claim_names (OpenID Connect Core section 5.6.2), or for groups in Entra ID's hasgroups. gprxy asks
// nobody for it: that would be a request per login, with rights that it does not have.
func (c claims) leftOut(claim string) bool {
	elsewhere, _ := c["_claim_names"].(map[string]any)
	if _, named := elsewhere[claim]; named {
		return true
	}
	return claim == "groups" && (c["hasgroups"] == true || c["hasgroups"] == "true")
}

// add takes what can be a role. Names are compared by what normaliseRole makes of them, in which an invisible
// character is a gap like any other: only a name that looks like what it is may take part.
func (h *heldRoles) add(entries []any, mapped func(string) bool) {
	seen := make(map[string]bool, len(entries))
	for _, entry := range entries {
		role, ok := entry.(string)
		switch {
		case ok && (role == "" || seen[role]):
		case !ok || !isPlainText(role), len(h.names) >= maxRoles && (mapped == nil || !mapped(role)):
			h.ignored++
		default:
			seen[role] = true
			h.names = append(h.names, role)
		}
	}
}

// roleEntries gives the entries of a roles claim; those that are no text name no role. One text is one
// role: "Domain Admins" must not become the role "Admins". Only scope and scp are lists in one text by
// their own standard (RFC 8693 section 4.2), and a text that is a JSON list is that list.
func roleEntries(claim string, value any) []any {
	switch value := value.(type) {
	case string:
		if name := claim[strings.LastIndexByte(claim, '.')+1:]; name == "scope" || name == "scp" {
			return anyList(strings.Fields(value))
		}
		if list, ok := jsonList(value); ok {
			return named(list)
		}
		return []any{value}
	case []any:
		return named(value)
	case map[string]any:
		return members(value)
	default:
		return []any{nil}
	}
}

// named puts the name in the place of each object that has one, such as {"id": 7, "name": "reader"}.
func named(list []any) []any {
	entries := slices.Clone(list)
	for i, entry := range list {
		if object, ok := entry.(map[string]any); ok {
			entries[i] = object["name"]
		}
	}
	return entries
}

// members are the names of an object whose keys are the roles, such as {"reader": {"org": "acme"}}, in
// the order of their names, since an object has none of its own. A role that is there with nothing, or
// with a no, is not held.
func members(object map[string]any) []any {
	var entries []any
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch value := object[name].(type) {
		case map[string]any:
			entries = append(entries, nameIf(len(value) > 0, name))
		case []any:
			entries = append(entries, nameIf(len(value) > 0, name))
		default:
			entries = append(entries, nameIf(value == true || value == "true", name))
		}
	}
	return entries
}

func nameIf(held bool, name string) any {
	if held {
		return name
	}
	return nil
}

// jsonList reads a text such as ["reader","writer"], as some issuers write a list that they keep as a text.
func jsonList(text string) ([]any, bool) {
	if !strings.HasPrefix(text, "[") {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	value, err := decodeValue(d, 0)
	list, ok := value.([]any)
	if err != nil || !ok {
		return nil, false
	}
	_, err = d.Token()
	return list, errors.Is(err, io.EOF)
}

func anyList(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}
