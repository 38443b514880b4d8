// Package pool keeps authenticated PostgreSQL connections ("backends") and lends each to one session at a time.
//
//	Acquire -> Lease (the raw socket belongs to the session) -> Release -> DISCARD ALL, proved -> idle -> Acquire ...
//	                                                         -> Discard -> closed
//
// Backends are grouped by Key (service user, database) and, below that, by the client's startup parameters: these
// are the session defaults that RESET returns to, so only clients with the same ones can share a backend. Such a
// group is a bucket and has one pgxpool. The limits stand above the buckets: leases wait in arrival order, first
// for their key, then for the total, and open backends never exceed either limit.
package pool
