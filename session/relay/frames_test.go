package relay

import (
	"encoding/binary"

	"gprxy/pool/wire"
)

func frame(kind byte, body string) string {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+wire.LengthSize))
	return string(head) + body
}
