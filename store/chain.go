// The hash chain: each event's hash covers its stored bytes and the hash before it.

package store

import (
	"crypto/sha256"
	"strconv"
)

// hash is one link of the chain. The first event follows the zero hash.
type hash = [sha256.Size]byte

// digest is SHA-256 of "seq\ntime\ntype\nsession\nbody". It is hashed apart from the chain so
// that an event whose body was pruned can keep its digest and the chain still verifies.
func digest(buf []byte, seq, time int64, typ, session, body string) (hash, []byte) {
	buf = strconv.AppendInt(buf[:0], seq, 10)
	buf = append(buf, '\n')
	buf = strconv.AppendInt(buf, time, 10)
	buf = append(buf, '\n')
	buf = append(buf, typ...)
	buf = append(buf, '\n')
	buf = append(buf, session...)
	buf = append(buf, '\n')
	buf = append(buf, body...)
	return sha256.Sum256(buf), buf
}

// link is SHA-256(prev || digest): the event's hash.
func link(prev, digest hash) hash {
	var both [2 * sha256.Size]byte
	copy(both[:], prev[:])
	copy(both[sha256.Size:], digest[:])
	return sha256.Sum256(both[:])
}
