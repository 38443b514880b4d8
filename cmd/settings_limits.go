// The settings that bound what strangers may cost, and say through whom clients come.

package cmd

import (
	"fmt"
	"net/netip"
	"strings"
)

func limitSettings() []setting {
	return []setting{
		{name: "TRUSTED_PROXIES", none: "none", meaning: "load balancers that send a PROXY protocol header, v1 or v2, before each connection: a list of addresses and CIDRs with commas",
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
				return &badValue{fmt.Sprintf("has %q", word), "write addresses and CIDRs such as 10.0.0.7, 10.1.0.0/16 or fd00::/8, with commas between them"}
			case network != network.Masked():
				return &badValue{fmt.Sprintf("has %q, which names one machine and a whole network", word), "write " + network.Masked().String() + " for the network, or " + network.Addr().String() + " for the machine"}
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
