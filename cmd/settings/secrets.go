// Secrets in files, which whoever rotates them changes while gprxy runs: passwords of service accounts, gprxy's own at the issuer.

package settings

import (
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"gprxy/auth"
)

// secretFile is a NAME_FILE setting that was read at the start.
type secretFile struct {
	variable string
	path     string // absolute
}

// Secrets gives the passwords of service accounts as their files hold them now. Safe for concurrent use.
type Secrets struct {
	log   *slog.Logger
	files map[string][]secretFile // by the account's name

	mu      sync.Mutex
	current map[string]auth.Secret // guarded by mu: the last good passwords
	client  plainSecret            // guarded by mu: OIDC_CLIENT_SECRET
	metrics plainSecret            // guarded by mu: METRICS_TOKEN
	told    map[string]string      // guarded by mu: what was last said of a file, by variable
}

// plainSecret is a secret that is no account's, as it was last good.
type plainSecret struct {
	what string
	file secretFile // no path: it was given without a file
	last auth.Secret
}

// NewSecrets knows the files of all settings NAME_FILE.
func NewSecrets(s Settings, log *slog.Logger) *Secrets {
	f := &Secrets{log: log, files: map[string][]secretFile{}, current: map[string]auth.Secret{}, told: map[string]string{},
		client:  plainSecret{"gprxy's secret at the issuer", s.SecretFiles["OIDC_CLIENT_SECRET"], s.SignOn.ClientSecret},
		metrics: plainSecret{"the token of scrapers", s.SecretFiles["METRICS_TOKEN"], s.Metrics.Token}}
	f.add(s.SecretFiles["GPRXY_PASS"], auth.Login{User: s.ServiceUser, Password: s.ServicePassword})
	for _, role := range slices.Sorted(maps.Keys(s.Roles.Mapping)) {
		f.add(s.SecretFiles["ROLE_MAPPING_"+role], s.Roles.Mapping[role])
	}
	return f
}

func (f *Secrets) add(file secretFile, login auth.Login) {
	if file.path != "" && login.User != "" {
		f.files[login.User] = append(f.files[login.User], file)
		f.current[login.User] = login.Password
	}
}

// Password is the one that the account's files hold now; false if it has no file. Of several files the one that was changed
// counts. A file that cannot be read, or holds no password of the account, leaves the last good one in force.
func (f *Secrets) Password(account string) (auth.Secret, bool) {
	files := f.files[account]
	if len(files) == 0 {
		return "", false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.current[account]
	for _, file := range files {
		password, err := file.read(account)
		f.tell(file, err)
		if err == nil && password != before {
			f.current[account] = password
			f.log.Info("the password of a service account has changed in its file", "setting", file.variable, "service_account", account)
			break
		}
	}
	return f.current[account], true
}

// ClientSecret is OIDC_CLIENT_SECRET as its file holds it now, or as it was given without a file. A file that cannot be read
// leaves the last good one in force.
func (f *Secrets) ClientSecret() auth.Secret { return f.plain(&f.client) }

// MetricsToken is METRICS_TOKEN in the same way.
func (f *Secrets) MetricsToken() auth.Secret { return f.plain(&f.metrics) }

func (f *Secrets) plain(s *plainSecret) auth.Secret {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.file.path == "" {
		return s.last
	}
	secret, bad := readSecret(s.file.path)
	if bad != nil {
		f.tell(s.file, errors.New(bad.wrong))
		return s.last
	}
	f.tell(s.file, nil)
	if now := auth.Secret(secret); now != s.last {
		s.last = now
		f.log.Info(s.what+" has changed in its file", "setting", s.file.variable)
	}
	return s.last
}

// Reread looks at all files, so that what is wrong with one is said before somebody logs in.
func (f *Secrets) Reread() {
	for account := range f.files {
		f.Password(account)
	}
	f.ClientSecret()
	f.MetricsToken()
}

// tell logs what is wrong with a file, once. Called with mu held.
func (f *Secrets) tell(file secretFile, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != f.told[file.variable] {
		f.log.Warn("a secret's file cannot be used: what it held before stays in force", "setting", file.variable, "error", text)
	}
	f.told[file.variable] = text
}

// read gives the account's password in the file. Its errors hold nothing of what the file holds.
func (f secretFile) read(account string) (auth.Secret, error) {
	content, bad := readSecret(f.path)
	if bad != nil {
		return "", errors.New(bad.wrong)
	}
	if strings.HasSuffix(f.variable, "GPRXY_PASS_FILE") {
		return auth.Secret(content), nil
	}
	login, bad := parseMapping(content)
	switch {
	case bad != nil:
		return "", errors.New(bad.wrong + ": " + inFile(bad).instead)
	case login.User != account:
		return "", errors.New("names another account now, which takes a restart of gprxy")
	}
	return login.Password, nil
}

// readSecret reads a file whole, without the line breaks at its end. Its permissions are not judged: container platforms mount
// secrets readable by all in the container.
func readSecret(path string) (string, *badValue) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return "", &badValue{"names " + path + ", which is not a file", "name a file that holds the secret alone"}
	}
	if err == nil && info.Size() > maxValue {
		return "", &badValue{"names " + path + ", which is larger than 64 kB", "name a file that holds the secret alone"}
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return "", &badValue{"cannot be read: " + err.Error(), "name a file that the proxy's user can read"}
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" {
		return "", &badValue{"names " + path + ", which is empty", "put the secret into the file"}
	}
	return secret, nil
}

// secretFile reads a NAME_FILE variant and notes where it is.
func (l *loader) secretFile(variable, path string) (given, bool) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.dir, path)
	}
	secret, bad := readSecret(path)
	if bad != nil {
		instead := bad.instead
		if strings.HasPrefix(variable, "ROLE_MAPPING_") {
			instead = strings.Replace(instead, "the secret alone", "username:password of the service account alone", 1)
		}
		l.problem(variable, bad.wrong, instead)
		return given{}, false
	}
	if l.secretFiles == nil {
		l.secretFiles = map[string]secretFile{}
	}
	l.secretFiles[strings.TrimSuffix(variable, "_FILE")] = secretFile{variable, path}
	return given{variable: variable, text: secret}, true
}
