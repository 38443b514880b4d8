package session

import "bytes"

// How the conversation sees the frames of both streams.

// clientFrames is the visitor of the client's stream.
type clientFrames struct{ *conversation }

func (c clientFrames) frameStart(kind byte, size uint32) (want uint32) {
	c.clientGoesOn(request{kind: kind})
	if kind == msgFlush && size > 0 && !c.skipping {
		c.beInDoubt("the client sent a Flush that is wrong") // an error, or nothing within a COPY
	}
	if c.record == nil {
		c.request(kind, nil)
		if kind == msgQuery || kind == msgParse {
			return aloneRoom
		}
		return 0
	}
	skipped := c.skipping
	act, want := c.record.requested(kind, size, skipped)
	c.request(kind, act)
	if kind == msgSync && skipped {
		c.record.syncSent()
	}
	return want
}

func (c clientFrames) frameBody(kind byte, body []byte, whole bool) {
	if (kind == msgQuery || kind == msgParse) && c.alone != nil {
		if text := aloneText(kind, body[:min(len(body), aloneRoom)]); text != "" {
			c.alone(text)
		}
	}
	if (kind == msgQuery || kind == msgParse) && c.accounts != nil && !c.skipping {
		c.accounts.sent(body, kind == msgParse)
	}
	if kind == msgQuery && c.stamped && !c.skipping && mayReset(body[:min(len(body), aloneRoom)]) {
		c.resetting = true
	}
	if c.record != nil {
		c.record.requestBody(kind, body, whole)
	}
}

func (c clientFrames) frameRest(_ byte, part []byte, last bool) {
	if c.record != nil {
		c.record.requestRest(part, last)
	}
}

// backendFrames is the visitor of the backend's stream.
type backendFrames struct{ *conversation }

func (b backendFrames) frameStart(kind byte, size uint32) (want uint32) {
	switch kind {
	case replyNotification, replyNotice, replyParameterStatus: // may come at any time
	default:
		b.last = kind
	}
	if b.record != nil {
		b.record.replied(kind, size)
	}
	switch kind {
	case replyReady, replyParameterStatus:
		if size > maxWantedBody {
			b.beInDoubt("the backend sent a ParameterStatus too large to note")
		}
		return maxWantedBody
	case replyError:
		return maxWantedBody
	case replyCommandComplete, replyParameterDesc:
		if b.record != nil || b.stamped || b.accounts != nil {
			return maxWantedBody
		}
	}
	b.reply(kind, nil)
	return 0
}

func (backendFrames) frameRest(byte, []byte, bool) {}

func (b backendFrames) frameBody(kind byte, body []byte, _ bool) {
	switch kind {
	case replyCommandComplete, replyParameterDesc:
		b.reply(kind, body)
		b.unstamped = b.unstamped || b.stamped && kind == replyCommandComplete && hasReset(body)
		if kind == replyCommandComplete && b.accounts != nil {
			b.accounts.done(body)
		}
	case replyReady:
		b.ready(body)
	case replyParameterStatus:
		name, rest, _ := bytes.Cut(body, []byte{0})
		value, _, found := bytes.Cut(rest, []byte{0})
		if found && b.parameters != nil {
			b.parameters(string(name), string(value))
		}
	case replyError:
		b.failed(body)
	}
}
