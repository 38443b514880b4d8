package listener

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// A proxy that passes connections on says with a header in front of each whose it
// is: the PROXY protocol, versions 1 (a line of text) and 2 (binary).
// https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt

const (
	// The longest line of version 1, its end included.
	maxLine = 107
	// What version 2 may have behind its fixed part: addresses, and TLVs that
	// nobody here reads. The largest in use hold a client certificate.
	maxAddresses = 4096

	lineStart = "PROXY "
	signature = "\r\n\r\n\x00\r\nQUIT\n"
)

var (
	// The end of a connection that never sent a byte: a health check.
	errNoHeader   = errors.New("the connection ended before its PROXY protocol header")
	errHeaderLate = &HeaderError{"no PROXY protocol header came in time"}
)

// A HeaderError says what is wrong with a PROXY protocol header.
type HeaderError struct{ What string }

func (e *HeaderError) Error() string { return e.What }

func badHeader(format string, args ...any) error {
	return &HeaderError{fmt.Sprintf(format, args...)}
}

// readHeader reads one header and not one byte more. It returns the client's
// address, or the zero value if the header names nobody: the proxy speaks for
// itself (LOCAL), or does not know (UNKNOWN).
func readHeader(r io.Reader) (netip.AddrPort, error) {
	var head [len(signature)]byte
	if n, err := io.ReadFull(r, head[:]); err != nil {
		return netip.AddrPort{}, cutShort(n, err)
	}
	switch {
	case string(head[:]) == signature:
		return readBinary(r)
	case bytes.HasPrefix(head[:], []byte(lineStart)):
		return readLine(r, head[:])
	default:
		return netip.AddrPort{}, badHeader("the connection does not begin with a PROXY protocol header")
	}
}

func cutShort(n int, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errHeaderLate
	case n == 0:
		return errNoHeader
	default:
		return badHeader("the PROXY protocol header is cut short")
	}
}

// readLine reads the rest of a version 1 header that begins with head: byte by
// byte, since what follows the line is the client's.
func readLine(r io.Reader, head []byte) (netip.AddrPort, error) {
	line := append(make([]byte, 0, maxLine), head...)
	for line[len(line)-1] != '\n' {
		if len(line) == maxLine {
			return netip.AddrPort{}, badHeader("the PROXY protocol line is longer than %d bytes", maxLine)
		}
		line = line[:len(line)+1]
		if _, err := io.ReadFull(r, line[len(line)-1:]); err != nil {
			return netip.AddrPort{}, cutShort(len(line), err)
		}
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return netip.AddrPort{}, badHeader("the PROXY protocol line does not end with CR LF")
	}
	return parseLine(strings.TrimPrefix(text, lineStart))
}

// parseLine reads "TCP4 source destination port port", or "UNKNOWN" and whatever
// follows it.
func parseLine(text string) (netip.AddrPort, error) {
	family, rest, _ := strings.Cut(text, " ")
	if family == "UNKNOWN" {
		return netip.AddrPort{}, nil
	}
	words := strings.Split(rest, " ")
	if family != "TCP4" && family != "TCP6" || len(words) != 4 {
		return netip.AddrPort{}, badHeader("the PROXY protocol line is not one of TCP4, TCP6 or UNKNOWN")
	}
	var ends [2]netip.AddrPort // source, destination
	for i := range ends {
		address, err := netip.ParseAddr(words[i])
		port, ok := parsePort(words[2+i])
		if err != nil || !ok || address.Zone() != "" || address.Is4() != (family == "TCP4") {
			return netip.AddrPort{}, badHeader("the PROXY protocol line has an address or a port that is none of %s", family)
		}
		ends[i] = netip.AddrPortFrom(address.Unmap(), port)
	}
	return ends[0], nil
}

// parsePort takes decimal digits without leading zeros.
func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && strconv.FormatUint(n, 10) == text
}

// The fixed part of version 2 behind the signature: version and command, family
// and transport, length of the rest.
const binaryFixed = 4

const (
	commandLocal = 0x20
	commandProxy = 0x21
	overTCP4     = 0x11
	overTCP6     = 0x21
)

func readBinary(r io.Reader) (netip.AddrPort, error) {
	var fixed [binaryFixed]byte
	if n, err := io.ReadFull(r, fixed[:]); err != nil {
		return netip.AddrPort{}, cutShort(len(signature)+n, err)
	}
	command, family, size := fixed[0], fixed[1], int(binary.BigEndian.Uint16(fixed[2:]))
	switch {
	case command != commandLocal && command != commandProxy:
		return netip.AddrPort{}, badHeader("the PROXY protocol header has version and command 0x%02x", command)
	case size > maxAddresses:
		return netip.AddrPort{}, badHeader("the PROXY protocol header has %d bytes of addresses, more than %d", size, maxAddresses)
	}
	// Source, destination, source port, destination port.
	var addresses [16 + 16 + 2 + 2]byte
	known := addresses[:min(size, len(addresses))]
	if _, err := io.ReadFull(r, known); err != nil {
		return netip.AddrPort{}, cutShort(len(signature), err)
	}
	if err := skip(r, size-len(known)); err != nil {
		return netip.AddrPort{}, err
	}
	if command == commandLocal {
		return netip.AddrPort{}, nil
	}
	return binarySource(family, known)
}

// binarySource takes the source out of the addresses of a version 2 header.
func binarySource(family byte, addresses []byte) (netip.AddrPort, error) {
	width := 0
	switch {
	case family == overTCP4:
		width = 4
	case family == overTCP6:
		width = 16
	case family>>4 == 0 || family>>4 == 3: // unspecified, or a Unix socket at the proxy
		return netip.AddrPort{}, nil
	default:
		return netip.AddrPort{}, badHeader("the PROXY protocol header has family and transport 0x%02x", family)
	}
	if len(addresses) < 2*width+4 {
		return netip.AddrPort{}, badHeader("the PROXY protocol header is too short for its addresses")
	}
	source, _ := netip.AddrFromSlice(addresses[:width])
	return netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(addresses[2*width:])), nil
}

// skip reads n bytes that mean nothing here.
func skip(r io.Reader, n int) error {
	var some [128]byte
	for n > 0 {
		got, err := io.ReadFull(r, some[:min(n, len(some))])
		if err != nil {
			return cutShort(len(signature), err)
		}
		n -= got
	}
	return nil
}
