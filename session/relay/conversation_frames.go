package relay

import (
	"bytes"

	"gprxy/pool/wire"
)

// How the conversation sees the frames of both streams.

// clientFrames is the visitor of the client's stream.
type clientFrames struct{ *conversation }

func (c clientFrames) FrameStart(kind byte, size uint32) (want uint32) {
	c.clientGoesOn(request{kind: kind})
	if kind == wire.Flush && size > 0 && !c.skipping {
		c.beInDoubt("the client sent a Flush that is wrong") // an error, or nothing within a COPY
	}
	if c.record == nil {
		c.request(kind, nil)
		if kind == wire.Query || kind == wire.Parse {
			return aloneRoom
		}
		return 0
	}
	skipped := c.skipping
	act, want := c.record.requested(kind, size, skipped)
	c.request(kind, act)
	if kind == wire.Sync && skipped {
		c.record.syncSent()
	}
	return want
}

func (c clientFrames) FrameBody(kind byte, body []byte, whole bool) {
	if (kind == wire.Query || kind == wire.Parse) && c.alone != nil {
		if text := aloneText(kind, body[:min(len(body), aloneRoom)]); text != "" {
			c.alone(text)
		}
	}
	if (kind == wire.Query || kind == wire.Parse) && c.accounts != nil && !c.skipping {
		c.accounts.sent(body, kind == wire.Parse)
	}
	if kind == wire.Query && c.stamped && !c.skipping && mayReset(body[:min(len(body), aloneRoom)]) {
		c.resetting = true
	}
	if c.record != nil {
		c.record.requestBody(kind, body, whole)
	}
}

func (c clientFrames) FrameRest(_ byte, part []byte, last bool) {
	if c.record != nil {
		c.record.requestRest(part, last)
	}
}

// backendFrames is the visitor of the backend's stream.
type backendFrames struct{ *conversation }

func (b backendFrames) FrameStart(kind byte, size uint32) (want uint32) {
	switch kind {
	case wire.NotificationResponse, wire.NoticeResponse, wire.ParameterStatus: // may come at any time
	default:
		b.last = kind
	}
	if b.record != nil {
		b.record.replied(kind, size)
	}
	switch kind {
	case wire.ReadyForQuery, wire.ParameterStatus:
		if size > wire.MaxWanted {
			b.beInDoubt("the backend sent a ParameterStatus too large to note")
		}
		return wire.MaxWanted
	case wire.ErrorResponse:
		return wire.MaxWanted
	case wire.CommandComplete, wire.ParameterDescription:
		if b.record != nil || b.stamped || b.accounts != nil {
			return wire.MaxWanted
		}
	}
	b.reply(kind, nil)
	return 0
}

func (backendFrames) FrameRest(byte, []byte, bool) {}

func (b backendFrames) FrameBody(kind byte, body []byte, _ bool) {
	switch kind {
	case wire.CommandComplete, wire.ParameterDescription:
		b.reply(kind, body)
		b.unstamped = b.unstamped || b.stamped && kind == wire.CommandComplete && hasReset(body)
		if kind == wire.CommandComplete && b.accounts != nil {
			b.accounts.done(body)
		}
	case wire.ReadyForQuery:
		b.ready(body)
	case wire.ParameterStatus:
		name, rest, _ := bytes.Cut(body, []byte{0})
		value, _, found := bytes.Cut(rest, []byte{0})
		if found && b.parameters != nil {
			b.parameters(string(name), string(value))
		}
	case wire.ErrorResponse:
		b.failed(body)
	}
}
