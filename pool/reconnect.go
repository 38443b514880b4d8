// Reconnect: what PostgreSQL decides when a connection is made is decided anew.
package pool

// Reconnect replaces the backends that are open now: idle ones are closed at once, leased ones when they are given
// back. Memberships, ALTER ROLE ... SET, ALTER DATABASE ... SET and where the server's name leads are looked at only
// when a connection is made.
func (p *Pools) Reconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.accounts {
		for _, b := range a.subpools {
			b.pool.Reset() // closes in the background, and what is being opened counts as old
		}
	}
	p.config.Log.Info("reconnecting to PostgreSQL: idle connections are closed now, others at the end of their sessions", "connections",
		p.open)
}
