package session

import (
	"testing"

	"gprxy/pool"
	"gprxy/session/startup"
)

// asking is a client's startup packet.
func asking(pairs ...string) (asked startup.Parameters) {
	for i := 0; i < len(pairs); i += 2 {
		asked = append(asked, pool.Parameter{Name: pairs[i], Value: pairs[i+1]})
	}
	return asked
}

func TestDeniedParameters(t *testing.T) {
	denied := []startup.Parameters{
		asking("role", "postgres"),
		asking("ROLE", "postgres"),
		asking("session_authorization", "postgres"),
		asking("session_preload_libraries", "x"),
		asking("local_preload_libraries", "x"),
		asking("shared_preload_libraries", "x"),
		asking("gprxy.user", "mallory"),
		asking("options", "-c role=postgres"),
		asking("options", "-crole=postgres"),
		asking("options", "-c ROLE=postgres"),
		asking("options", "--role=postgres"),
		asking("options", "--session-authorization=postgres"),
		asking("options", `-c\ role=postgres`),
		asking("options", `-c ro\le=postgres`),
		asking("options", "-c search_path=x -c role=postgres"),
		asking("options", "-Pcrole=postgres"),
		asking("options", "-c gprxy.user=mallory"),
		asking("options", "--gprxy.user=mallory"),
		asking("options", "\t-c\nlocal-preload-libraries=x"),
		asking("Session_Authorization", "postgres"),
		asking("options", "-c role=postgres", "options", ""),
		asking("TimeZone", "UTC", "role", "postgres"),
	}
	for _, asked := range denied {
		if checkParameters(asked) == nil {
			t.Errorf("%v is allowed", asked)
		}
	}
	allowed := []startup.Parameters{
		asking(),
		asking("application_name", "role=postgres"),
		asking("search_path", "a,b", "TimeZone", "UTC"),
		asking("options", "-c statement_timeout=5s --search_path=role"),
		asking("options", "-c my.role=x"),
		asking("options", "-cmy.role=x"),
		asking("options", "-c application_name=role"),
		asking("roles", "x"),
		asking("OPTIONS", "-c role=postgres"), // a parameter that PostgreSQL does not know
		asking("USER", "postgres"),            // likewise
	}
	for _, asked := range allowed {
		if err := checkParameters(asked); err != nil {
			t.Errorf("%v is refused: %v", asked, err)
		}
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("-c role=postgres")
	f.Add(`--a\ b=c\`)
	f.Fuzz(func(t *testing.T, options string) {
		if deniedOption(options+" -c role=x") == "" && options != "" && options[len(options)-1] != '\\' {
			t.Errorf("%q hides a denied parameter", options)
		}
	})
}
