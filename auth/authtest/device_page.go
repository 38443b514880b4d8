// The page where a person approves a device, or denies it.

package authtest

import "net/http"

const unknownCode = "This code is not known. It may be mistyped, used already, or too old."

func (i *Issuer) serveDevicePage(w http.ResponseWriter, r *http.Request) {
	typed := r.URL.Query().Get("user_code")
	if typed == "" {
		showCodeForm(w, http.StatusOK, "")
		return
	}
	d, ok := i.waitingDevice(typed)
	if !ok {
		showCodeForm(w, http.StatusNotFound, unknownCode)
		return
	}
	i.showDevice(w, http.StatusOK, d, "")
}

func (i *Issuer) serveDeviceDecision(w http.ResponseWriter, r *http.Request) {
	form, refused := readForm(w, r)
	if refused != nil {
		showMessage(w, refused.status, "This form cannot be read", refused.text)
		return
	}
	typed := r.URL.Query().Get("user_code")
	d, ok := i.waitingDevice(typed)
	if !ok {
		showCodeForm(w, http.StatusNotFound, unknownCode)
		return
	}
	if form.Get("action") == "deny" {
		err := i.Deny(typed)
		showDecision(w, err, "Denied", "The device has not been let in. You may close this window.")
		return
	}
	login, ok := i.loginOf(form)
	if !ok {
		i.showDevice(w, http.StatusForbidden, d, "Name or password is wrong.")
		return
	}
	err := i.Approve(typed, login)
	showDecision(w, err, "You are logged in", "The device continues by itself. You may close this window.")
}

func showDecision(w http.ResponseWriter, err error, title, text string) {
	if err != nil {
		showCodeForm(w, http.StatusConflict, "This code has just been used or has expired.")
		return
	}
	showMessage(w, http.StatusOK, title, text)
}
