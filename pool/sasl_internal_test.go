// A server that plays false in the login by SCRAM.
package pool

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gprxy/pool/wire"
)

func TestAServerMustProveItKnowsThePassword(t *testing.T) {
	t.Parallel()
	const plain = "SCRAM-SHA-256\x00\x00"
	challenge := func(iterations string) func(string) string {
		return func(nonce string) string { return "r=" + nonce + "more,s=c2FsdA==,i=" + iterations }
	}
	for name, row := range map[string]struct {
		offers    string
		challenge func(nonce string) string
		end       string // what follows the client's proof
		fails     string // the error; "": pgconn gets end as it is
	}{
		"no proof": {plain, challenge("1"), authentication(authenticationOK, ""), "type 'R'"},
		"another proof": {plain, challenge("1"), authentication(authenticationSASLFinal,
			"v="+base64.StdEncoding.EncodeToString(make([]byte, 32))), "did not prove"},
		"an empty proof":       {plain, challenge("1"), authentication(authenticationSASLFinal, "v="), "did not prove"},
		"a refusal":            {plain, challenge("1"), packet('E', "SFATAL\x00C28P01\x00Mno\x00\x00"), ""},
		"endless work":         {plain, challenge("10000001"), "", "impossible number"},
		"no work":              {plain, challenge("0"), "", "impossible number"},
		"another nonce":        {plain, func(string) string { return "r=other,s=c2FsdA==,i=1" }, "", "nonce"},
		"nothing like SCRAM":   {plain, func(string) string { return "" }, "", "impossible number"},
		"another mechanism":    {"OAUTHBEARER\x00\x00", nil, authentication(authenticationSASL, "OAUTHBEARER\x00\x00"), ""},
		"a length that is bad": {"", nil, "R\x00\x00\x00\x01", ""},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			near.SetDeadline(time.Now().Add(20 * time.Second))
			go func() {
				defer far.Close()
				if row.challenge != nil {
					io.WriteString(far, authentication(authenticationSASL, row.offers))
					_, nonce, _ := strings.Cut(readPacket(far), "n=,r=")
					io.WriteString(far, authentication(authenticationSASLContinue, row.challenge(nonce)))
					if row.end == "" {
						return
					}
					readPacket(far)
				}
				io.WriteString(far, row.end)
			}()
			asked := false
			got, err := io.ReadAll(&saslLogin{r: near, w: near, password: "right", asked: func() { asked = true }})
			if row.fails == "" && (err != nil || !bytes.Equal(got, []byte(row.end))) {
				t.Errorf("pgconn gets %q, %v", got, err)
			}
			if row.fails != "" && (err == nil || !strings.Contains(err.Error(), row.fails) || len(got) > 0) {
				t.Errorf("pgconn gets %q, %v", got, err)
			}
			if asked != (row.challenge != nil) {
				t.Errorf("asked: %v", asked)
			}
		})
	}
}

func packet(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))) + body
}

func authentication(request uint32, data string) string {
	return packet('R', string(binary.BigEndian.AppendUint32(nil, request))+data)
}

func readPacket(r io.Reader) string {
	var header [wire.HeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return ""
	}
	body := make([]byte, binary.BigEndian.Uint32(header[1:])-4)
	io.ReadFull(r, body)
	return string(body)
}
