// How many backends a person may hold, over all accounts and databases.
package pool

import "fmt"

// PersonError says that the person of a request holds, or waits for, as many backends as Config.MaxPerPerson allows.
type PersonError struct {
	Allowed int
}

func (e *PersonError) Error() string {
	return fmt.Sprintf("too many connections for this person: POOL_MAX_PER_USER allows %d", e.Allowed)
}

// admit counts one more request of a person's, if the limit allows it. What it counts is given back with leave, once: when
// the request fails or its lease begins to end. Requests that wait are counted, so that the order in which many come at once
// makes no difference to how many get in.
func (p *Pools) admit(person string) error {
	if person == "" || p.config.MaxPerPerson == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.persons[person] >= p.config.MaxPerPerson {
		return &PersonError{p.config.MaxPerPerson}
	}
	p.persons[person]++
	return nil
}

// leave undoes admit.
func (p *Pools) leave(person string) {
	if person == "" || p.config.MaxPerPerson == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.persons[person]--; p.persons[person] <= 0 {
		delete(p.persons, person) // nothing may remain of people who have left
	}
}
