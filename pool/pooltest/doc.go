// Package pooltest starts a real, throwaway PostgreSQL server for tests, benchmarks and the demo.
//
// The server has its own data directory under the temporary directory, a free port on 127.0.0.1 and a Unix socket;
// it never touches a server that is already there. It dies with the process that started it (Linux), and leftovers
// of killed processes are swept by the next Start.
package pooltest
