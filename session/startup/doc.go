// Package startup is what a server of PostgreSQL's protocol reads before anybody is logged in: startup packets, the frames of a
// login, parameters and options. Everything in it comes from strangers. The proxy and the tunnel are such servers; it knows
// neither.
package startup
