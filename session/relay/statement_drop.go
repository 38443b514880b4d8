package relay

import "bytes"

// Code that runs inside PostgreSQL, a DO or a function, can drop a prepared statement and prepare another of its name. Where the
// text holds a word for that, no name of the session is taken for what it stood for before. Where it does not (a function that
// was made earlier, a word put together of parts), the rows of later Executes have the text that the protocol gave the name.

// Words that drop prepared statements, in lower case.
var dropWords = [...][]byte{[]byte("deallocate"), []byte("discard")}

const longestDrop = len("deallocate")

// holdsDrop tells whether a text holds one of the words.
func holdsDrop(text []byte) bool {
	for {
		i := bytes.IndexAny(text, "dD")
		if i < 0 {
			return false
		}
		text = text[i:]
		for _, word := range dropWords {
			if len(text) >= len(word) && bytes.EqualFold(text[:len(word)], word) {
				return true
			}
		}
		text = text[1:]
	}
}

// lookForDrop looks into the next part of a long text, and over the seam between two.
func (c *cutText) lookForDrop(text []byte) {
	c.seam = append(c.seam, text[:min(len(text), longestDrop)]...)
	c.stmt.dropsNames = c.stmt.dropsNames || holdsDrop(c.seam) || holdsDrop(text)
	end := c.seam
	if len(text) > longestDrop {
		end = text
	}
	c.seam = append(c.seam[:0], end[max(0, len(end)-longestDrop):]...)
}

// drops tells whether what the message runs may have dropped prepared statements.
func (a *action) drops() bool { return a != nil && a.stmt != nil && a.stmt.dropsNames }
