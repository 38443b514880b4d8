package session

import "encoding/binary"

// readStartup reads the client's first packet that is no question for encryption
// and prepares what gprxy gets in its place. Encryption is declined: on this
// machine there is nobody in between.
func (c *tunnelled) readStartup() error {
	asked := map[uint32]bool{}
	for {
		body, err := readStartupBody(c.near)
		if err != nil {
			return err
		}
		code := binary.BigEndian.Uint32(body)
		upgrade := code == codeSSLRequest || code == codeGSSENCRequest
		switch {
		case upgrade && !asked[code]:
			asked[code] = true
			if err := c.decline(); err != nil {
				return err
			}
		case code == codeCancelRequest:
			return c.takeCancel(body)
		default:
			return c.takeStartup(code, body[4:])
		}
	}
}

func (c *tunnelled) decline() error {
	if bytesWaiting(c.near) {
		return unencryptedData("a request for encryption")
	}
	_, err := c.near.Write([]byte{'N'})
	return clientLeft(err)
}

func (c *tunnelled) takeCancel(body []byte) error {
	if len(body) < 4+4+1 || len(body) > 4+4+maxSecretSize {
		return malformed("invalid length of cancel request packet")
	}
	c.isCancel = true
	c.packet = startupPacket(body)
	return nil
}

func (c *tunnelled) takeStartup(version uint32, parameters []byte) error {
	c.legacy = version>>16 < 3
	if version>>16 != 3 {
		return unsupportedProtocol(version)
	}
	rewritten, err := rewriteParameters(parameters, c.User, c.Database)
	if err != nil {
		return err
	}
	c.packet = startupPacket(append(binary.BigEndian.AppendUint32(nil, version), rewritten...))
	return nil
}

// startupPacket puts the length in front.
func startupPacket(body []byte) []byte {
	packet := binary.BigEndian.AppendUint32(nil, uint32(len(body)+lengthSize))
	return append(packet, body...)
}

// rewriteParameters changes whom a StartupMessage asks for to user, unless that
// is empty, and adds the database if it names none. All else stays, in its order.
func rewriteParameters(body []byte, user, database string) ([]byte, error) {
	asked, err := parseParameters(body)
	if err != nil {
		return nil, err
	}
	// The tunnel logs in itself: what the client would be asked for is not the
	// client's choice here.
	asked, _, _ = takeAuthChoice(asked)
	if asked.get("database") == "" && database != "" {
		asked = asked.with("database", database)
	}
	if user != "" {
		asked = asked.with("user", user)
	}
	var rewritten []byte
	for _, parameter := range asked {
		rewritten = append(rewritten, parameter.Name+"\x00"+parameter.Value+"\x00"...)
	}
	return append(rewritten, 0), nil
}
