package sqltext

// Where PostgreSQL, and extensions that are common, take secrets. docs/audit.md has the same list.

// context is a place where a secret may stand.
type context struct {
	what    string
	example string // SECRET stands for it
}

// contexts are the places that reader knows. A name is one that Names.isSecret says is that of a secret.
var contexts = []context{
	{"the password of a role", "ALTER ROLE eve PASSWORD 'SECRET'"},
	{"the options of a user mapping, server or foreign-data wrapper",
		"CREATE USER MAPPING FOR eve SERVER s OPTIONS (user 'eve', password 'SECRET')"},
	{"a connection string, in any literal", "CREATE SUBSCRIPTION s CONNECTION 'host=h password=SECRET' PUBLICATION p"},
	{"the password of a URL, in any literal", "SELECT dblink_connect('postgresql://eve:SECRET@h/d')"},
	{"a member of JSON, or whatever is written `name: value`, in any literal", `SELECT '{"token": "SECRET"}'::json`},
	{"what follows `Bearer`, in any literal", "SELECT http_header('X', 'Bearer SECRET')"},
	{"a setting with such a name", "SET app.password = 'SECRET'"},
	{"the value beside a literal that is such a name", "SELECT set_config('app.password', 'SECRET', false)"},
	{"a value compared with such a name, or assigned to it", "UPDATE users SET password = crypt('SECRET', gen_salt('bf'))"},
	{"a value that has such a name", "SELECT login(password => 'SECRET'), 'SECRET' AS token"},
	{"the values of a list in which such a name stands", "UPDATE users SET (name, password) = ('SECRET', 'SECRET')"},
	{"the column of an INSERT", "INSERT INTO users (name, password) VALUES ('eve', 'SECRET')"},
	{"all values of an INSERT from a query", "INSERT INTO users (name, password) SELECT 'SECRET', 'SECRET'"},
	{"the arguments of a function with such a name", "SELECT change_password('SECRET', 'SECRET')"},
	{"functions of pgcrypto, pgsodium, aws_s3 and azure_storage that take keys", "SELECT pgp_sym_encrypt('SECRET', 'SECRET')"},
	{"what goes to such a parameter of a prepared statement", "PREPARE s AS UPDATE users SET password = $1; EXECUTE s('SECRET')"},
	{"what is put into SQL where a secret stands", "SELECT format('ALTER ROLE eve PASSWORD %L', 'SECRET')"},
}

// secretFragments make a name that of a secret wherever they stand in it.
var secretFragments = []string{
	"passw", "passphrase", "passcode", "secret", "token", "credential", "pwd",
	"access_key", "accesskey", "api_key", "apikey", "private_key", "privatekey", "account_key", "encryption_key", "signing_key",
}

// secretParts do so if they are all of it, or a part between underscores.
var secretParts = []string{"pass", "otp"}

// plainEndings take it back: what ends so is about a secret.
var plainEndings = []string{"_at", "_count", "_type", "_length", "_expires", "_expiry", "_enabled", "_ttl", "_policy", "_encryption",
	"_authentication_timeout"}

// secretFunctions take secrets in arguments from this one on, counted from 0, whatever their names
// say: those of pgcrypto, pgsodium, aws_commons, aws_s3, azure_storage and http. A function with the
// name of a secret, such as vault.create_secret, takes them in all.
var secretFunctions = map[string]int{
	"crypt": 0, "hmac": 1, "encrypt": 0, "decrypt": 0, "encrypt_iv": 0, "decrypt_iv": 0,
	"pgp_sym_encrypt": 0, "pgp_sym_encrypt_bytea": 0, "pgp_sym_decrypt": 0, "pgp_sym_decrypt_bytea": 0,
	"pgp_pub_encrypt": 0, "pgp_pub_encrypt_bytea": 0, "pgp_pub_decrypt": 0, "pgp_pub_decrypt_bytea": 0,
	"crypto_secretbox": 0, "crypto_secretbox_open": 0, "crypto_auth": 0, "crypto_auth_verify": 0, "crypto_pwhash": 0,
	"crypto_pwhash_str":        0,
	"crypto_pwhash_str_verify": 0, "crypto_aead_ietf_encrypt": 0, "crypto_aead_ietf_decrypt": 0,
	"crypto_aead_det_encrypt": 0, "crypto_aead_det_decrypt": 0,
	"crypto_shorthash": 1, "crypto_generichash": 1, "crypto_kdf_derive_from_key": 3,
	"table_import_from_s3": 6, "account_add": 1, "account_options_credentials": 1, "sha_crypt": 0,
}

// secretSettings are settings, and literals as keys, whose values are secret though no part of their
// names says so.
var secretSettings = []string{"authorization", "proxy-authorization"}
