// For tests: a server that ends with the test.
package pooltest

import "testing"

// New starts a server for one test and stops it at its end. It fails the test, never skips it, if no server can be
// had. Tests of one package better share a server: Start it in TestMain.
func New(tb testing.TB, o Options) *Server {
	tb.Helper()
	s, err := Start(tb.Context(), o)
	if err != nil {
		tb.Fatalf("starting PostgreSQL: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Errorf("stopping PostgreSQL: %v", err)
		}
	})
	return s
}

// Tool is Program for a test, which fails if there is none.
func (s *Server) Tool(tb testing.TB, name string) string {
	tb.Helper()
	path, err := s.Program(name)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}
