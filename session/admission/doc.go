// Package admission decides who may try to log in, how many at once and how often, before anything is known of the client
// but where it comes from:
//
//   - Slots: how many connections may be logging in, and which of them makes room for another;
//   - DeviceSlots: how many of them wait for a person with a browser;
//   - FairQueue: in which order they have their passwords checked;
//   - Throttle: what failed logins cost the next ones;
//   - Condenser: what of all this is recorded one by one, and what is counted.
//
// LRU and LeakyBucket are what these are made of. An origin is a netip.Prefix: an address, of IPv6 a /64. The zero
// value is of unknown origin, for which the bounds over all hold alone.
package admission
