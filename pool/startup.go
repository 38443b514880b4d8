// The startup packet in the client's own words. pgconn keeps run-time parameters in a map, which has no order and no name
// twice, while PostgreSQL takes them one after the other: the first bad one is the one it complains of, and of a name that
// comes twice the last value counts.
package pool

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	protocol30 = 3 << 16

	// PostgreSQL's MAX_STARTUP_PACKET_LENGTH, which leaves the length itself out.
	maxStartupPacket = 4 + 10_000
)

// startupPacket is the StartupMessage that opens a backend.
func (r Request) startupPacket() []byte {
	packet := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0}, protocol30)
	packet = appendParameter(packet, Parameter{"user", r.User})
	if r.Database != "" {
		packet = appendParameter(packet, Parameter{"database", r.Database})
	}
	for _, p := range r.Parameters {
		packet = appendParameter(packet, p)
	}
	packet = append(packet, 0)
	binary.BigEndian.PutUint32(packet, uint32(len(packet)))
	return packet
}

func appendParameter(packet []byte, p Parameter) []byte {
	packet = append(append(packet, p.Name...), 0)
	return append(append(packet, p.Value...), 0)
}

// startupWriter is the writer pgconn writes to. It sends another startup packet than pgconn's, which comes first and in
// one piece; everything else passes.
type startupWriter struct {
	w      io.Writer
	packet []byte // nil once it was sent
}

func (s *startupWriter) Write(p []byte) (int, error) {
	if s.packet == nil {
		return s.w.Write(p)
	}
	if len(p) < 8 || binary.BigEndian.Uint32(p) != uint32(len(p)) || binary.BigEndian.Uint32(p[4:]) != protocol30 {
		return 0, errors.New("pgconn did not begin with a startup packet")
	}
	packet := s.packet
	s.packet = nil
	if n, err := s.w.Write(packet); err != nil {
		return min(n, len(p)), err
	}
	return len(p), nil
}
