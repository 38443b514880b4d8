// Differences that are faults of gprxy: what the runner has found and nobody has mended yet. Each is pinned, so that it
// cannot grow, and has to go from here when it is mended.
package session_test

const (
	namesAreLost   = "the pool sends names of parameters in small letters, and of two spellings the one that sorts last"
	orderIsLost    = "startup parameters are kept in a map, so PostgreSQL gets them in an order of chance"
	noticesLost    = "notices PostgreSQL sends during the backend's login do not reach the client"
	optionsInOrder = "protocol options are kept in a map, and told in the order of their names, each once"
)

var faults = []exception{
	{script: "a5-options-in-order", reason: optionsInOrder,
		direct:  []string{`v "\x00\x03\x00\x00\x00\x00\x00\x02_pq_.zebra\x00_pq_.ape\x00"`},
		proxied: []string{`v "\x00\x03\x00\x00\x00\x00\x00\x02_pq_.ape\x00_pq_.zebra\x00"`}},
	{script: "a5-option-twice", reason: optionsInOrder,
		direct:  []string{`v "\x00\x03\x00\x00\x00\x00\x00\x02_pq_.future\x00_pq_.future\x00"`},
		proxied: []string{`v "\x00\x03\x00\x00\x00\x00\x00\x01_pq_.future\x00"`}},
	{script: "a5-option-of-capitals", reason: "the pool drops _PQ_.future, which is a run-time parameter",
		direct: []string{
			`T "\x00\x01_PQ_.future\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00"`,
			`D "\x00\x01\x00\x00\x00\x02on"`, `C "SHOW\x00"`},
		proxied: []string{`E S="ERROR" V="ERROR" C="42704" M="unrecognized configuration parameter \"_PQ_.future\""`}},
	{script: "a5-option-without-user", reason: "the user is missed before the version is negotiated",
		direct: []string{`v "\x00\x03\x00\x00\x00\x00\x00\x01_pq_.future\x00"`,
			fatal("28000", "no PostgreSQL user name specified in startup packet")},
		proxied: []string{fatal("28000", "no PostgreSQL user name specified in startup packet")}},
	{script: "a7-a-parameter-in-two-spellings", reason: namesAreLost,
		direct: []string{`D "\x00\x01\x00\x00\x00\x031MB"`}, proxied: []string{`D "\x00\x01\x00\x00\x00\x033MB"`}},
	{script: "b9-options-in-capitals", reason: "the name is refused before the password is asked for, and has no F, L and R",
		direct:  []string{askPassword, fatal("42704", `unrecognized configuration parameter "OPTIONS"`)},
		proxied: []string{fatal("42704", `unrecognized configuration parameter "OPTIONS"`)}},
	{script: "c1-a-notice-of-a-login-trigger", reason: noticesLost,
		direct: []string{`N S="NOTICE" V="NOTICE" C="00000" M="welcome" W="PL/pgSQL function greet() line 1 at RAISE"`}},
	{script: "c2-application-name-too-long", reason: noticesLost,
		direct: []string{`N S="NOTICE" V="NOTICE" C="42622" M="identifier \"` + seventy + `\" will be truncated to \"` + seventy[:63] + `\""`}},
	{script: "c3-an-enum-with-a-hint", below: 18, reason: namesAreLost,
		direct:  []string{fatal("22023", `invalid value for parameter "IntervalStyle": "nonsense"`) + styles},
		proxied: []string{fatal("22023", `invalid value for parameter "intervalstyle": "nonsense"`) + styles}},
	{script: "c3-bad-replication", reason: "whatever does not mean no is taken for a wish to replicate",
		direct: []string{fatal("22023", `invalid value for parameter "replication": "perhaps"`) +
			` H="Valid values are: \"false\", 0, \"true\", 1, \"database\"."`},
		proxied: []string{fatal("0A000", "replication connections are not served through gprxy") +
			` H="Connect pg_basebackup, pg_receivewal and logical replication directly to PostgreSQL."`}},
	{script: "c3-two-bad-values", reason: orderIsLost, chance: true,
		direct:  []string{fatal("22023", `invalid value for parameter "work_mem": "plenty"`)},
		proxied: []string{fatal("22023", `invalid value for parameter "TimeZone": "Nowhere/Land"`)}},
	{script: "c3-two-bad-values-the-other-way", reason: orderIsLost, chance: true,
		direct:  []string{fatal("22023", `invalid value for parameter "TimeZone": "Nowhere/Land"`)},
		proxied: []string{fatal("22023", `invalid value for parameter "work_mem": "plenty"`)}},
}

const (
	seventy = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	styles  = ` H="Available values: postgres, postgres_verbose, sql_standard, iso_8601."`
)
