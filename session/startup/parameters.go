package startup

import (
	"bytes"
	"slices"

	"gprxy/pool"
	"gprxy/session/refusal"
)

// Parameters are the names and values of a StartupMessage, in the client's own
// order and spelling: PostgreSQL takes run-time parameters one after the other,
// complains of the first that is wrong, and of a name that comes twice the last
// value counts.
type Parameters []pool.Parameter

// ParseParameters reads the pairs of a StartupMessage. With an error it returns
// those PostgreSQL would have seen before it noticed (ProcessStartupPacket).
func ParseParameters(body []byte) (all Parameters, err error) {
	wrong := refusal.Malformed("invalid startup packet layout: expected terminator as last byte")
	for len(body) > 0 && body[0] != 0 {
		name, rest, _ := bytes.Cut(body, []byte{0})
		if len(rest) == 0 {
			break // PostgreSQL takes any last byte for the terminator
		}
		value, rest, _ := bytes.Cut(rest, []byte{0}) // without its end nothing follows, which is no terminator
		all = append(all, pool.Parameter{Name: string(name), Value: string(value)})
		body = rest
	}
	if len(body) != 1 {
		return all, wrong
	}
	return all, nil
}

// Get returns the value that counts, "" if there is none.
func (p Parameters) Get(name string) string {
	value, _ := p.Lookup(name)
	return value
}

// Lookup is Get for where an empty value is not none.
func (p Parameters) Lookup(name string) (value string, found bool) {
	for _, parameter := range slices.Backward(p) {
		if parameter.Name == name {
			return parameter.Value, true
		}
	}
	return "", false
}

// Without leaves all parameters of these names out. p stays as it is.
func (p Parameters) Without(names ...string) Parameters {
	return slices.DeleteFunc(slices.Clone(p), func(parameter pool.Parameter) bool {
		return slices.Contains(names, parameter.Name)
	})
}

// With gives name this value alone, in front of all others. p stays as it is.
func (p Parameters) With(name, value string) Parameters {
	return append(Parameters{{Name: name, Value: value}}, p.Without(name)...)
}
