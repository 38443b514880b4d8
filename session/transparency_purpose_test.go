// Differences on purpose that need more than a line: logins gprxy refuses, and what it owes its backends.
package session_test

const (
	injected    = "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack."
	ownInjected = `bytes "\x00\x00\x00\xa9SFATAL\x00VFATAL\x00C08P01\x00Mreceived unencrypted data after SSL request\x00` +
		`D` + injected + `\x00\x00"`

	askPassword = `R "\x00\x00\x00\x03"`
	welcome     = `R "\x00\x00\x00\x00"`
	wrongLogin  = ` H="Check the password, or log in again for a fresh token; after several failed logins, wait a minute. The reason stands in gprxy's event log."`
)

// atLogin: sections A and B.
func atLogin() []exception {
	unencrypted := func(request string) string {
		return fatal("08P01", "received unencrypted data after "+request) + ` D="` + injected + `"`
	}
	const before = "gprxy refuses before it answers: what was injected shall not get as far as a handshake"
	const oneText = "B3: one text for every login that fails, so that nobody learns who exists, and a hint"
	return []exception{
		{script: "a1-query-behind-ssl-request", below: 14, reason: before,
			direct: []string{`bytes "S"`, legacy("received unencrypted data after SSL request")}, proxied: []string{`bytes "E"`, ownInjected}},
		{script: "a1-query-behind-ssl-request", below: 17, reason: before,
			direct: []string{`bytes "S"`, unencrypted("SSL request")}, proxied: []string{`bytes "E"`, ownInjected}},
		{script: "a1-query-behind-ssl-request", from: 17, reason: before + "; PostgreSQL takes it for the handshake",
			direct: []string{`bytes "S"`}, proxied: []string{`bytes "E"`, ownInjected}},
		{script: "a3-gss-with-startup-behind", below: 14, reason: "PostgreSQL 13 says it in the form of protocol 2",
			direct:  []string{legacy("received unencrypted data after GSSAPI encryption request")},
			proxied: []string{unencrypted("GSSAPI encryption request")}},
		sameWords(unencrypted("GSSAPI encryption request"), "a3-gss-with-startup-behind")[0],
		{script: "b3-wrong-password", reason: oneText,
			direct:  []string{fatal("28P01", `password authentication failed for user "app_reader"`)},
			proxied: []string{fatal("28P01", `password authentication failed for user "app_reader"`) + wrongLogin}},
		{script: "b3-empty-password", reason: oneText,
			direct:  []string{fatal("28P01", "empty password returned by client")},
			proxied: []string{fatal("28P01", `password authentication failed for user "app_reader"`) + wrongLogin}},
		{script: "b3-unknown-role", reason: "who has proved who they are is told that no account is theirs",
			direct: []string{fatal("28P01", `password authentication failed for user "nobody_at_all"`)},
			proxied: []string{fatal("28000", "none of your roles is mapped to a service account") +
				` H="Ask for a role in your company's directory and log in again, or ask the operator of gprxy to map one of yours (ROLE_MAPPING_...)."`}},
		denied("b9-role-at-login", "role", fatal("42501", `permission denied to set role "app_writer"`)),
		denied("b9-role-in-options", "role", fatal("42501", `permission denied to set role "app_writer"`)),
		denied("b9-session-authorization-at-login", "session_authorization", fatal("42501",
			`permission denied to set session authorization "app_writer"`)),
		denied("b9-a-library-at-login", "local_preload_libraries", fatal("58P01",
			`could not access file "$libdir/plugins/auto_explain": No such file or directory`)),
	}
}

// denied: a startup parameter that would change who the session is, refused before the password is asked for.
func denied(script, parameter, direct string) exception {
	return exception{script: script, reason: "B9: no session may set it at login", direct: []string{askPassword, welcome, direct},
		proxied: []string{fatal("42501", `parameter "`+parameter+`" cannot be set at login through gprxy`) +
			` H="Leave it out of the connection parameters (PGOPTIONS, options=...)."`}}
}

// midSession: section D.
func midSession() []exception {
	return []exception{
		{script: "d11-terminate-during-copy-in", reason: "D11: Terminate does not reach the backend, so it cannot complain of it",
			direct: []string{`E S="ERROR" V="ERROR" C="08P01" M="unexpected message type 0x58 during COPY from stdin" W="COPY t, line 2"`,
				fatal("08P01", "terminating connection because protocol synchronization was lost")}},
		{script: "d12-half-close-of-a-slow-query", reason: "a client that has closed its side is asked whether it lives, with a " +
			"ParameterStatus it knows",
			proxied: []string{`S "integer_datetimes\x00on\x00"`}},
	}
}
