// The settings that bound what strangers may cost, and say through whom clients come.

package settings

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

func limitSettings() []Row {
	return []Row{
		{Name: "MAX_CLIENTS", Default: "1000", Meaning: "clients served or waiting for a connection to PostgreSQL at once; more are refused",
			parse: number(1, 1_000_000, func(s *Settings) *int { return &s.MaxClients })},
		{Name: "LOGIN_MAX", Default: "1000", Meaning: "connections that have not logged in at once; more take the place of the slowest",
			parse: number(1, 1_000_000, func(s *Settings) *int { return &s.LoginMax })},
		{Name: "LOGIN_MAX_PER_ADDRESS", Default: "500", Meaning: "of these, for one address (of IPv6, one /64)",
			parse: number(1, 1_000_000, func(s *Settings) *int { return &s.LoginMaxPerAddress })},
		{Name: "LOGIN_MAX_FAILURES", Default: "5", Meaning: "failed logins of one user from one address before more are refused unchecked; 0 for any " +
			"number",
			parse: number(0, 1000, func(s *Settings) *int { return &s.LoginMaxFailures })},
		{Name: "LOGIN_FAILURE_MEMORY", Default: "1m", Meaning: "time after which one of them is forgotten",
			parse: duration(time.Second, 24*time.Hour, func(s *Settings) *time.Duration { return &s.LoginFailureMemory })},
		{Name: "IDLE_TIMEOUT", None: "no limit", Meaning: "how long a session may do nothing outside a transaction before it is ended (57P05)",
			parse: duration(time.Second, 30*Day, func(s *Settings) *time.Duration { return &s.IdleTimeout })},
		{Name: "MAX_SESSION", None: "no limit", Meaning: "how long a session may last; the client is told a minute before its end (57P01)",
			parse: duration(time.Second, 30*Day, func(s *Settings) *time.Duration { return &s.MaxSession })},
		{Name: "MAX_SESSION_GRACE", Default: "1m", Meaning: "how long a transaction may outlive MAX_SESSION",
			parse: duration(0, Day, func(s *Settings) *time.Duration { return &s.MaxSessionGrace })},
		{Name: "TRUSTED_PROXIES", None: "none", Meaning: "load balancers that send a PROXY protocol header, v1 or v2, before each " +
			"connection: a list of addresses and CIDRs with commas",
			parse: networks(func(s *Settings) *[]netip.Prefix { return &s.TrustedProxies })},
	}
}

// networks takes addresses and CIDRs.
func networks(field func(*Settings) *[]netip.Prefix) func(*Settings, *loader, string) *badValue {
	return func(s *Settings, _ *loader, t string) *badValue {
		var list []netip.Prefix
		for word := range strings.SplitSeq(t, ",") {
			word = strings.TrimSpace(word)
			network, err := network(word)
			switch {
			case err != nil:
				return &badValue{fmt.Sprintf("has %q", word), "write addresses and CIDRs such as 10.0.0.7, 10.1.0.0/16 or fd00::/8, with commas " +
					"between them"}
			case network != network.Masked():
				return &badValue{fmt.Sprintf("has %q, which names one machine and a whole network", word),
					"write " + network.Masked().String() + " for the network, or " + network.Addr().String() + " for the machine"}
			}
			list = append(list, network)
		}
		*field(s) = list
		return nil
	}
}

func network(word string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(word); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	return netip.ParsePrefix(word)
}
