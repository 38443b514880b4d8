// Messages as a hostile client writes them: an encoder of its own, which refuses nothing.
package main

import (
	"encoding/binary"
	"strings"
)

const (
	protocol3  = 3 << 16
	cancelCode = 1234<<16 | 5678
)

func packet(code uint32, body string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return string(binary.BigEndian.AppendUint32(head, code)) + body
}

func startup(pairs ...string) string {
	return packet(protocol3, strings.Join(pairs, "\x00")+"\x00\x00")
}

func frame(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))) + body
}

func int16s(n int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(n))) }
func int32s(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }

func query(sql string) string       { return frame('Q', sql+"\x00") }
func parse(name, sql string) string { return frame('P', name+"\x00"+sql+"\x00"+int16s(0)) }

func bind(portal, name string, values ...string) string {
	body := portal + "\x00" + name + "\x00" + int16s(0) + int16s(len(values))
	for _, v := range values {
		body += int32s(len(v)) + v
	}
	return frame('B', body+int16s(0))
}

func execute(portal string, most int) string { return frame('E', portal+"\x00"+int32s(most)) }
func describe(what byte, name string) string { return frame('D', string(what)+name+"\x00") }
func closing(what byte, name string) string  { return frame('C', string(what)+name+"\x00") }
func copyData(data string) string            { return frame('d', data) }
func copyFail(why string) string             { return frame('f', why+"\x00") }
func functionCall(oid int, args ...string) string {
	body := int32s(oid) + int16s(0) + int16s(len(args))
	for _, a := range args {
		body += int32s(len(a)) + a
	}
	return frame('F', body+int16s(0))
}

var (
	flush     = frame('H', "")
	syncing   = frame('S', "")
	copyDone  = frame('c', "")
	terminate = frame('X', "")
)

// run is a statement by the extended protocol, without its Sync.
func run(sql string) string { return parse("", sql) + bind("", "") + execute("", 0) }
