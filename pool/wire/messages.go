// Package wire knows the form of PostgreSQL's protocol 3: the types of its messages, and where in a stream each begins and ends
// (manual: "Frontend/Backend Protocol", "Message Formats"). It decodes nothing. Its Walker holds no lock and starts nothing; it
// belongs to whoever reads the stream.
package wire

// A frame is a type byte, a length that counts itself but not the type, and a body.
const (
	HeaderSize = 5 // type and length
	LengthSize = 4
)

// MaxName is NAMEDATALEN - 1: how many bytes PostgreSQL keeps of a name.
const MaxName = 63

// Types of a client's messages.
const (
	Query        = 'Q'
	Parse        = 'P'
	Bind         = 'B'
	Describe     = 'D'
	Execute      = 'E'
	Close        = 'C'
	Flush        = 'H'
	Sync         = 'S'
	FunctionCall = 'F'
	CopyData     = 'd' // PostgreSQL sends these two as well
	CopyDone     = 'c'
	CopyFail     = 'f'
	Password     = 'p' // and SASL's responses
	Terminate    = 'X'
)

// Types of PostgreSQL's messages.
const (
	Authentication           = 'R'
	BackendKeyData           = 'K'
	BindComplete             = '2'
	CloseComplete            = '3'
	CommandComplete          = 'C'
	CopyBothResponse         = 'W' // replication alone
	CopyInResponse           = 'G'
	CopyOutResponse          = 'H'
	DataRow                  = 'D'
	EmptyQueryResponse       = 'I'
	ErrorResponse            = 'E'
	FunctionCallResponse     = 'V'
	NegotiateProtocolVersion = 'v'
	NoData                   = 'n'
	NoticeResponse           = 'N'
	NotificationResponse     = 'A'
	ParameterDescription     = 't'
	ParameterStatus          = 'S'
	ParseComplete            = '1'
	PortalSuspended          = 's'
	ReadyForQuery            = 'Z'
	RowDescription           = 'T'
)

// Transaction status as ReadyForQuery reports it.
const (
	TxIdle   = 'I'
	TxActive = 'T'
	TxFailed = 'E'
)
