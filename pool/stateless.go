// The extensions that are known to keep nothing of a session.
package pool

import (
	"fmt"
	"regexp"
	"slices"
)

// stateless are extensions with functions in C that keep nothing of a session but settings, which DISCARD ALL resets, and
// caches of what stands in the database: PostgreSQL's own, read in its contrib folder, but for dblink, postgres_fdw,
// file_fdw, isn and the languages; and pgvector. Others are named in Config.StatelessExtensions by those who know them.
var stateless = []string{
	"adminpack", "amcheck", "autoinc", "bloom", "btree_gin", "btree_gist", "citext", "cube", "dict_int", "dict_xsyn",
	"earthdistance", "fuzzystrmatch", "hstore", "insert_username", "intagg", "intarray", "lo", "ltree", "moddatetime",
	"old_snapshot", "pageinspect", "pg_buffercache", "pg_freespacemap", "pg_logicalinspect", "pg_prewarm",
	"pg_stat_statements", "pg_surgery", "pg_trgm", "pg_visibility", "pg_walinspect", "pgcrypto", "pgrowlocks",
	"pgstattuple", "plpgsql", "refint", "seg", "sslinfo", "tablefunc", "tcn", "tsm_system_rows", "tsm_system_time",
	"unaccent", "uuid-ossp", "vector", "xml2",
}

var extensionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// IsExtensionName says whether Config.StatelessExtensions may hold a name: it is to stand in a statement as it is.
func IsExtensionName(name string) bool { return extensionName.MatchString(name) }

// withStateless returns the known names and the operator's.
func withStateless(more []string) ([]string, error) {
	for _, name := range more {
		if !IsExtensionName(name) {
			return nil, fmt.Errorf("%q is not the name of an extension", name)
		}
	}
	return slices.Concat(stateless, more), nil
}
