// Reading that can be given up, and the lines of a script.

package prompt

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
)

// input reads from a file or terminal until ctx ends. A read that the system has begun cannot be broken
// off: then the goroutine behind it is left, and ends with the process or with the next input.
type input struct {
	ctx    context.Context
	wanted chan struct{}
	read   chan chunk
	left   []byte
	failed error

	raw         bool // the terminal sends keys: look for Ctrl-C
	interrupted bool // Ctrl-C came
}

type chunk struct {
	bytes []byte
	err   error
}

func newInput(ctx context.Context, from io.Reader) *input {
	i := &input{ctx: ctx, wanted: make(chan struct{}), read: make(chan chunk, 1)}
	go i.pump(from)
	return i
}

func (i *input) pump(from io.Reader) {
	buffer := make([]byte, 64<<10)
	for range i.wanted {
		n, err := from.Read(buffer)
		i.read <- chunk{buffer[:n], err}
	}
}

// close lets the goroutine end.
func (i *input) close() { close(i.wanted) }

func (i *input) Read(b []byte) (int, error) {
	if len(i.left) == 0 {
		if err := i.fill(); err != nil {
			return 0, err
		}
	}
	from := i.left
	if i.raw {
		if at := bytes.IndexByte(from, keyInterrupt); at >= 0 && at < len(b) {
			from, i.interrupted = from[:at+1], true
		}
	}
	n := copy(b, from)
	i.left = i.left[n:]
	if i.raw { // the line editor drops tabs, which would join the words of a pasted statement
		copy(b[:n], bytes.ReplaceAll(b[:n], []byte{'\t'}, []byte{' '}))
	}
	return n, nil
}

func (i *input) fill() error {
	for len(i.left) == 0 {
		if i.failed != nil {
			return i.failed
		}
		select {
		case i.wanted <- struct{}{}:
		case <-i.ctx.Done():
			return i.ctx.Err()
		}
		select {
		case c := <-i.read:
			i.left, i.failed = c.bytes, c.err
		case <-i.ctx.Done():
			i.failed = i.ctx.Err() // the buffer is the pump's now
		}
	}
	return nil
}

// lines is where statements come from. Lines come without their line break.
type lines interface {
	// next returns the next line, errInterrupted for Ctrl-C, or io.EOF. sign is what psql's prompt shows.
	next(sign byte) (string, error)
	// data returns the next piece of the data of a COPY, or io.EOF at its end.
	data() ([]byte, error)
}

var errInterrupted = errors.New("interrupted")

// script is lines that nobody types.
type script struct {
	from    *bufio.Reader
	number  int  // lines read
	midline bool // data stopped within a line
}

func newScript(in io.Reader) *script { return &script{from: bufio.NewReaderSize(in, 64<<10)} }

func (s *script) next(byte) (string, error) {
	var line []byte
	for {
		part, err := s.from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxStatement:
			return "", errTooLong
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)):
			return "", err
		}
		s.number++
		text := strings.TrimSuffix(string(line), "\n")
		if s.number == 1 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		return text, nil
	}
}

func (s *script) data() ([]byte, error) {
	part, err := s.from.ReadSlice('\n')
	whole := !s.midline
	s.midline = errors.Is(err, bufio.ErrBufferFull)
	if s.midline {
		return part, nil
	}
	if len(part) > 0 {
		s.number++
	}
	if whole && isEndOfData(string(part)) || len(part) == 0 && err != nil && errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return part, nil
}

// isEndOfData reports whether a line ends the data of a COPY.
func isEndOfData(line string) bool { return strings.TrimRight(line, "\r\n") == `\.` }
