// gprxy login on a terminal without a browser: the address is pasted.

package cmd

import (
	"net/url"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gprxy/auth/authtest"
)

func TestLoginByAPastedAddress(t *testing.T) {
	t.Parallel()
	i := issuerAlone(t, authtest.Options{LongCodes: true, Without: []string{authtest.DeviceCodePath}})
	p := i.person(t)
	d := sit(t, p.command("login", "--no-browser", "--port", "0"))
	d.expect("Paste the address of that page here.")
	d.expect("Address (it is not shown): ")
	page := address.FindString(d.text())
	back, err := i.issuer.Visit(page, "alice")
	if err != nil {
		t.Fatal(err)
	}
	d.press("what am I to do\r")
	d.expect("That is not where the browser ends: the whole address is needed, which begins with http://localhost:")
	d.expect("Address (it is not shown): ")
	d.press(back + "\x15\x1b[A" + "half\x7f\x7f\x7f\x7f") // taken back, and keys that count for nothing
	// Longer than a terminal takes for a line by itself, as a terminal brackets what is pasted.
	d.press("\x1b[200~" + strings.Repeat(" ", 5000) + back + "\x1b[201~\r")
	d.expect("Logged in as alice@example.com (roles reader) until ")
	if code := d.end(); code != 0 {
		t.Errorf("exit %d\n%s", code, d.text())
	}
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(d.text(), u.Query().Get("code")[:20]) {
		t.Error("the code stands on the screen")
	}
	p.expect(0, []string{"alice@example.com"}, "", "whoami")

	d = sit(t, p.command("login", "--no-browser", "--port", "0"))
	d.expect("Address (it is not shown): ")
	raw, err := unix.IoctlGetTermios(int(d.keys.Fd()), unix.TCGETS)
	if err != nil || raw.Lflag&unix.ECHO != 0 {
		t.Errorf("the terminal echoes: %+v, %v", raw, err)
	}
	d.press("\x03")
	d.expect("interrupted")
	if code := d.end(); code != 1 {
		t.Errorf("exit %d\n%s", code, d.text())
	}
	if after, err := unix.IoctlGetTermios(int(d.keys.Fd()), unix.TCGETS); err != nil || after.Lflag&unix.ICANON == 0 ||
		after.Lflag&unix.ECHO == 0 {
		t.Errorf("the terminal is left as %+v, %v", after, err)
	}
}
