// Package socket reads and writes sockets with as few calls and as little memory as the system allows, below TLS too, and asks
// the kernel what it knows of a peer. It knows nothing of what passes.
//
// A connection has one Reader and one Writer, each for one goroutine at a time. Neither starts a goroutine or a timer, and
// neither closes the connection: that is its owner's.
package socket
