// Databases that somebody wants for himself: PostgreSQL drops, renames and copies one only while nobody is connected to it,
// and an idle backend is somebody.
package pool

import "time"

// CloseIdle closes the idle backends of such databases, and those in use when they are given back. It waits for nothing:
// PostgreSQL gives others 5 s to leave (src/backend/storage/ipc/procarray.c, CountOtherDBBackends).
func (p *Pools) CloseIdle(of func(database string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.accounts {
		if of(key.Database) {
			p.closeIdle(key.Database)
		}
	}
}

// closeIdle is CloseIdle for one database. Called with mu held.
func (p *Pools) closeIdle(database string) {
	for _, a := range p.accounts {
		if a.key.Database != database {
			continue
		}
		for _, b := range a.subpools {
			b.pool.Reset() // closes in the background
		}
	}
}

// noteEmpty begins the time after which the idle backends of a database without sessions are closed. It is shorter than
// PostgreSQL's patience, for statements that come past gprxy, of which nothing can be seen here. Called with mu held.
func (p *Pools) noteEmpty(database string) {
	if p.config.MaxEmptyTime == 0 || p.closed || !p.empty(database) {
		return
	}
	p.noteUsed(database)
	p.emptying[database] = time.AfterFunc(p.config.MaxEmptyTime, func() { p.leaveEmpty(database) })
}

// noteUsed ends that time. Called with mu held.
func (p *Pools) noteUsed(database string) {
	if timer := p.emptying[database]; timer != nil {
		timer.Stop()
		delete(p.emptying, database)
	}
}

// empty says whether there are backends of a database, and neither sessions nor requests. Called with mu held.
func (p *Pools) empty(database string) bool {
	open := 0
	for _, a := range p.accounts {
		if a.key.Database != database {
			continue
		}
		if a.users > 0 {
			return false
		}
		open += a.open
	}
	return open > 0
}

// leaveEmpty is for the end of the time. Somebody may have come, and even left, in the last moment.
func (p *Pools) leaveEmpty(database string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !p.empty(database) {
		return
	}
	delete(p.emptying, database)
	p.closeIdle(database)
	p.config.Log.Debug("idle connections closed: nobody is left in their database", "database", database)
}
