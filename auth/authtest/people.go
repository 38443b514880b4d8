// The people who can log in.

package authtest

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"net/url"
	"slices"
)

// Person is somebody who can log in.
type Person struct {
	Email    string // empty: the login name at example.com
	Name     string // empty: the login name
	Subject  string // sub of the tokens; empty: "test|" and the login name
	Roles    []string
	Password string // empty: pages have a button that logs in without one
}

func (p Person) filled(login string) Person {
	fill(&p.Email, login+"@example.com")
	fill(&p.Name, login)
	fill(&p.Subject, "test|"+login)
	p.Roles = slices.Clone(p.Roles)
	return p
}

// loginOf tells who filled in the form of a page: by name and password, or by
// the button of a person who has none.
func (i *Issuer) loginOf(form url.Values) (login string, ok bool) {
	if login = form.Get("as"); login != "" {
		person, known := i.options.Users[login]
		return login, known && person.Password == ""
	}
	login = form.Get("login")
	person, known := i.options.Users[login]
	return login, known && person.Password != "" && sameSecret(person.Password, form.Get("password"))
}

// sameSecret compares in a time that tells nothing, of the length neither.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// face is a person as pages show them.
type face struct {
	Login, Name, Email string
}

// faces are those with a button, by name.
func (i *Issuer) faces() []face {
	var all []face
	for login, person := range i.options.Users {
		if person.Password == "" {
			all = append(all, face{login, person.Name, person.Email})
		}
	}
	slices.SortFunc(all, func(a, b face) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Login, b.Login)) })
	return all
}

// hasPasswords reports whether pages need a form for name and password.
func (i *Issuer) hasPasswords() bool { return len(i.faces()) < len(i.options.Users) }
