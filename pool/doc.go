// Package pool keeps authenticated PostgreSQL connections ("backends") and lends each to one session at a time.
//
//	Acquire -> Lease (the raw socket belongs to the session) -> Release -> DISCARD ALL, proved -> idle -> Acquire ...
//	                                                         -> Discard -> closed
//
// Backends are grouped by Key (service user, database) and, below that, by the client's startup parameters: these
// are the session defaults that RESET returns to, so only clients with the same ones can share a backend. Such a
// group is a subpool and has one pgxpool. The limits stand above the subpools: leases wait in arrival order, first
// for their key, then for the total, and open backends never exceed either limit.
//
// Who runs, and who waits for it:
//
//	what                              begins with                  stopped and awaited by
//	pgxpool's own goroutines          the first backend of a subpool  Pools.Close, by way of closing
//	the closing of an empty subpool    the last lease's end         Pools.Close, by way of closing
//	the report that a request waits   Acquire (timer)              Acquire
//	a database that nobody is in      noteEmpty (timer)            noteUsed and Close stop it; one that has begun holds mu
//	a context's end, while connecting the dialer                   the end of the attempt
//
// A request is served by the goroutine that made it; Close ends it (enter) and waits (busy) for it and for every lease.
//
// Locks: Pools.mu guards the maps, the accounts and the subpools, and is never held across I/O; outage.mu, waitReport.mu and
// Lease.mu guard their own fields, and none is taken while another of them is held. waitReport.mu is released before Pools.mu is
// taken.
//
// A lease, its socket with it, belongs to one session until Release or Discard; either ends it once, whatever is called after it.
// Of a backend that is idle pgxpool alone is the owner.
package pool
