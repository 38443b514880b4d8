// Events in the words of the Open Cybersecurity Schema Framework, https://schema.ocsf.io/1.3.0/.

package export

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"gprxy/cmd/terminal"
	"gprxy/store"
)

// OCSFVersion is that of the schema.
const OCSFVersion = "1.3.0"

// The classes and activities that events become.
const (
	ocsfAccountChange  = 3001
	ocsfPasswordChange = 3

	ocsfAuthentication = 3002
	ocsfLogon          = 1
	ocsfLogoff         = 2

	ocsfDatastore = 6005
	ocsfUpdate    = 2
	ocsfConnect   = 3
	ocsfQuery     = 4
	ocsfWrite     = 5
	ocsfCreate    = 6
	ocsfDelete    = 7

	ocsfOther = 99

	ocsfUnknown = 0
	ocsfSuccess = 1
	ocsfFailure = 2

	ocsfInformational = 1
	ocsfMedium        = 3
)

// ocsfEvent has the attributes of all the classes; those a class does not have are absent.
type ocsfEvent struct {
	ActivityID   int            `json:"activity_id"`
	ActivityName string         `json:"activity_name"`
	CategoryUID  int            `json:"category_uid"`
	CategoryName string         `json:"category_name"`
	ClassUID     int            `json:"class_uid"`
	ClassName    string         `json:"class_name"`
	TypeUID      int            `json:"type_uid"`
	Time         int64          `json:"time"` // milliseconds
	SeverityID   int            `json:"severity_id"`
	Severity     string         `json:"severity"`
	StatusID     int            `json:"status_id"`
	Status       string         `json:"status"`
	StatusCode   string         `json:"status_code,omitempty"`
	StatusDetail string         `json:"status_detail,omitempty"`
	Message      string         `json:"message"`
	Duration     int64          `json:"duration,omitempty"` // milliseconds
	Metadata     ocsfMetadata   `json:"metadata"`
	SrcEndpoint  ocsfEndpoint   `json:"src_endpoint"`
	User         *ocsfUser      `json:"user,omitempty"`
	Service      *ocsfNamed     `json:"service,omitempty"`
	Session      *ocsfSession   `json:"session,omitempty"`
	AuthProtocol string         `json:"auth_protocol,omitempty"`
	ProtocolID   int            `json:"auth_protocol_id,omitempty"`
	Actor        *ocsfActor     `json:"actor,omitempty"`
	Database     *ocsfDatabase  `json:"database,omitempty"`
	DstEndpoint  *ocsfEndpoint  `json:"dst_endpoint,omitempty"`
	TypeID       int            `json:"type_id,omitempty"` // of the datastore
	QueryInfo    *ocsfQueryInfo `json:"query_info,omitempty"`
	Unmapped     *ocsfUnmapped  `json:"unmapped,omitempty"`
}

// ocsfUnmapped is what OCSF has no attribute for.
type ocsfUnmapped struct {
	ServiceAccount  string        `json:"service_account,omitempty"`
	BackendPID      *uint32       `json:"backend_pid,omitempty"`
	RequestedUser   string        `json:"requested_user,omitempty"`
	ApplicationName string        `json:"application_name,omitempty"`
	Altered         []string      `json:"altered,omitempty"` // of an account
	Kind            string        `json:"kind,omitempty"`    // of a statement
	CommandTag      string        `json:"command_tag,omitempty"`
	Statements      *int64        `json:"statements,omitempty"`
	Rows            *int64        `json:"rows,omitempty"`
	Errors          *int64        `json:"errors,omitempty"`
	BindValues      []store.Param `json:"bind_values,omitempty"`
	QueryBytes      int64         `json:"query_bytes,omitempty"` // of the whole text, when it was cut
	QuerySHA256     string        `json:"query_sha256,omitempty"`
}

// unmapped is made when something needs it.
func (o *ocsfEvent) unmapped() *ocsfUnmapped {
	if o.Unmapped == nil {
		o.Unmapped = &ocsfUnmapped{}
	}
	return o.Unmapped
}

type ocsfMetadata struct {
	Version  string      `json:"version"`
	Product  ocsfProduct `json:"product"`
	UID      string      `json:"uid"`
	Sequence int64       `json:"sequence"`
	LogName  string      `json:"log_name"`
	Provider string      `json:"log_provider"`
}

type ocsfProduct struct {
	Name    string `json:"name"`
	Vendor  string `json:"vendor_name"`
	Version string `json:"version"`
}

type ocsfEndpoint struct {
	IP   string `json:"ip,omitempty"`
	Port int    `json:"port,omitempty"`
	Name string `json:"name,omitempty"`
}

type ocsfUser struct {
	Name   string `json:"name"`
	UID    string `json:"uid,omitempty"`
	Type   string `json:"type,omitempty"`
	TypeID int    `json:"type_id,omitempty"`
}

type ocsfNamed struct {
	Name string `json:"name"`
}

type ocsfSession struct {
	UID    string `json:"uid"`
	Issuer string `json:"issuer,omitempty"`
}

type ocsfActor struct {
	User    ocsfUser     `json:"user"`
	Session *ocsfSession `json:"session,omitempty"`
}

type ocsfDatabase struct {
	Name   string `json:"name"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type"`
}

type ocsfQueryInfo struct {
	Query string `json:"query_string"`
}

// toOCSF gives the event, or nil if it has no class of its own: what its session's other events say, and
// what is about the log itself.
func toOCSF(e store.Record, r *requested) (*ocsfEvent, error) {
	switch e.Type {
	case store.SessionConnected{}.Type():
		return nil, r.note(e)
	case store.AuthSucceeded{}.Type():
		return ocsfFrom(e, sayAuthSucceeded, func(o *ocsfEvent, f store.AuthSucceeded) { o.succeeded(f); o.requestedIn(r, e.Session) })
	case store.AuthFailed{}.Type():
		return ocsfFrom(e, sayAuthFailed, func(o *ocsfEvent, f store.AuthFailed) { o.failed(f); o.requestedIn(r, e.Session) })
	case store.SessionEnded{}.Type():
		return ocsfFrom(e, saySessionEnded, func(o *ocsfEvent, f store.SessionEnded) { o.ended(f) })
	case store.SessionStarted{}.Type():
		return ocsfFrom(e, saySessionStarted, func(o *ocsfEvent, f store.SessionStarted) { o.started(f) })
	case store.AccountAltered{}.Type():
		return ocsfFrom(e, sayAccountAltered, func(o *ocsfEvent, f store.AccountAltered) { o.altered(f) })
	case store.SessionRefused{}.Type():
		return ocsfFrom(e, saySessionRefused, func(o *ocsfEvent, f store.SessionRefused) { o.refused(f); o.requestedIn(r, e.Session) })
	case store.StatementsExecuted{}.Type():
		f, err := store.DecodeStatement(e.Detail)
		if err != nil {
			return nil, err
		}
		return ocsfOf(e, f, sayExecuted, func(o *ocsfEvent, f store.Statement) { o.executed(f) }), nil
	}
	return nil, nil
}

// ocsfFrom is ocsfOf of a fact that is to be read first.
func ocsfFrom[F any](e store.Record, say func(F) string, fill func(*ocsfEvent, F)) (*ocsfEvent, error) {
	var fact F
	if err := json.Unmarshal(e.Detail, &fact); err != nil {
		return nil, fmt.Errorf("read %s: %w", e.Type, err)
	}
	return ocsfOf(e, fact, say, fill), nil
}

// ocsfOf makes the event of a fact, with the words for it as its message.
func ocsfOf[F any](e store.Record, fact F, say func(F) string, fill func(*ocsfEvent, F)) *ocsfEvent {
	o := &ocsfEvent{
		Time:        e.Time.UnixMilli(),
		SeverityID:  ocsfInformational,
		StatusID:    ocsfSuccess,
		SrcEndpoint: endpoint(e.Client),
		Metadata: ocsfMetadata{
			Version: OCSFVersion, UID: strconv.FormatInt(e.Seq, 10), Sequence: e.Seq, LogName: "gprxy events",
			Product: ocsfProduct{Name: "gprxy", Vendor: "gprxy"},
		},
		Session: &ocsfSession{UID: e.Session},
		Actor:   &ocsfActor{User: ocsfUser{Name: orUnknown(e.User)}},
	}
	if e.Session == "" {
		o.Session = nil
	}
	o.Database = &ocsfDatabase{Name: orUnknown(e.Database), TypeID: 1, Type: "Relational"}
	if e.ServiceAccount != "" {
		o.unmapped().ServiceAccount = e.ServiceAccount
	}
	fill(o, fact)
	o.Message = beginningOf(say(fact))
	o.complete()
	return o
}

// authentication makes it a logon or logoff of the person, at gprxy.
func (o *ocsfEvent) authentication(activity int, name string) {
	o.ClassUID, o.ClassName, o.CategoryUID, o.CategoryName = ocsfAuthentication, "Authentication", 3, "Identity & Access Management"
	o.ActivityID, o.ActivityName = activity, name
	o.User, o.Actor = &o.Actor.User, nil
	o.Service, o.Database = &ocsfNamed{"gprxy"}, nil
}

// datastore makes it something that the person does with the database.
func (o *ocsfEvent) datastore(activity int, name string) {
	o.ClassUID, o.ClassName, o.CategoryUID, o.CategoryName = ocsfDatastore, "Datastore Activity", 6, "Application Activity"
	o.ActivityID, o.ActivityName = activity, name
	o.TypeID = 1 // a database
	o.Actor.Session, o.Session = o.Session, nil
}

// altered makes it a change of a role of PostgreSQL's: the person is the actor, the role is the user. A text that changes
// a password and more is a change of the password; all that it changes is in unmapped. Enable and Disable are not used:
// the event does not say whether LOGIN was given or taken.
func (o *ocsfEvent) altered(f store.AccountAltered) {
	o.ClassUID, o.ClassName, o.CategoryUID, o.CategoryName = ocsfAccountChange, "Account Change", 3, "Identity & Access Management"
	o.ActivityID, o.ActivityName = ocsfOther, "Alter"
	if slices.Contains(f.What, store.AlteredPassword) {
		o.ActivityID, o.ActivityName = ocsfPasswordChange, "Password Change"
	}
	o.User = &ocsfUser{Name: orUnknown(f.Account)}
	if f.Account == f.ServiceAccount {
		o.User.Type, o.User.TypeID = "Service", 4
	}
	o.Actor.Session, o.Session, o.Database = o.Session, nil, nil
	o.SeverityID = ocsfMedium
	if f.Tag == "DO" {
		o.StatusID, o.StatusDetail = ocsfUnknown, "the text of a DO holds it, which need not have run all of it"
	}
	u := o.unmapped()
	u.ServiceAccount, u.Altered, u.CommandTag = f.ServiceAccount, f.What, f.Tag
}

func (o *ocsfEvent) fail(code, detail string) {
	o.StatusID, o.StatusCode, o.StatusDetail, o.SeverityID = ocsfFailure, code, detail, ocsfMedium
}

func (o *ocsfEvent) protocol(method string) {
	o.AuthProtocol, o.ProtocolID = method, ocsfOther
	if method != "password" {
		o.AuthProtocol, o.ProtocolID = "OAUTH 2.0", 6
	}
}

func (o *ocsfEvent) succeeded(f store.AuthSucceeded) {
	o.authentication(ocsfLogon, "Logon")
	o.protocol(f.Method)
	o.User.Name, o.User.UID = f.User, f.Subject
	o.Session.Issuer = f.Issuer
}

func (o *ocsfEvent) failed(f store.AuthFailed) {
	o.authentication(ocsfLogon, "Logon")
	o.protocol(f.Method)
	if f.User != "" {
		o.User.Name = f.User
	}
	o.Session.Issuer = f.Issuer
	o.fail("", terminal.InWords(f.Reason))
}

func (o *ocsfEvent) ended(f store.SessionEnded) {
	o.authentication(ocsfLogoff, "Logoff")
	o.StatusDetail, o.Duration = terminal.InWords(f.Reason), int64(f.DurationMS)
	u := o.unmapped()
	u.Statements, u.Rows, u.Errors = &f.Statements, &f.Rows, &f.Errors
}

func (o *ocsfEvent) started(f store.SessionStarted) {
	o.datastore(ocsfConnect, "Connect")
	backend := endpoint(f.Backend)
	o.DstEndpoint = &backend
	o.unmapped().ServiceAccount, o.unmapped().BackendPID = f.ServiceAccount, &f.BackendPID
}

func (o *ocsfEvent) refused(f store.SessionRefused) {
	o.datastore(ocsfConnect, "Connect")
	o.fail(f.SQLState, terminal.InWords(f.Reason))
}

func (o *ocsfEvent) executed(f store.Statement) {
	o.datastore(ocsfActivity(f))
	o.QueryInfo = &ocsfQueryInfo{f.SQL}
	o.Duration = f.US / 1000
	if f.Outcome != "" && f.Outcome != store.OutcomeSuspended {
		o.fail(f.SQLState, strings.TrimSpace(f.Outcome+" "+f.Message))
	}
	u := o.unmapped()
	u.Kind, u.CommandTag, u.Rows, u.BindValues = f.Kind, f.Tag, &f.Rows, f.Params
	u.QueryBytes, u.QuerySHA256 = f.TextBytes, f.TextSHA256
}

// ocsfActivity is what a command does, by its tag. A statement that failed has none.
func ocsfActivity(f store.Statement) (id int, name string) {
	switch f.Kind {
	case store.KindParse:
		return ocsfOther, "Prepare"
	case store.KindBind:
		return ocsfOther, "Bind"
	}
	verb, _, _ := strings.Cut(f.Tag, " ")
	switch verb {
	case "SELECT", "FETCH", "SHOW", "EXPLAIN":
		return ocsfQuery, "Query"
	case "INSERT", "COPY":
		return ocsfWrite, "Write"
	case "UPDATE", "MERGE", "ALTER":
		return ocsfUpdate, "Update"
	case "DELETE", "DROP", "TRUNCATE":
		return ocsfDelete, "Delete"
	case "CREATE":
		return ocsfCreate, "Create"
	case "":
		return ocsfQuery, "Query"
	}
	return ocsfOther, f.Tag
}

// complete fills in what follows from the rest.
func (o *ocsfEvent) complete() {
	o.TypeUID = o.ClassUID*100 + o.ActivityID
	o.Severity = "Informational"
	if o.SeverityID == ocsfMedium {
		o.Severity = "Medium"
	}
	o.Status = [...]string{ocsfUnknown: "Unknown", ocsfSuccess: "Success", ocsfFailure: "Failure"}[o.StatusID]
	if o.ClassUID == ocsfAuthentication {
		o.Actor = nil
	}
}

// beginningOf is enough of a message to read; what it is about has a field of its own.
func beginningOf(text string) string {
	const enough = 2 << 10
	if len(text) <= enough {
		return text
	}
	return strings.ToValidUTF8(text[:enough], "") + "…"
}

func endpoint(address string) ocsfEndpoint {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ocsfEndpoint{Name: orUnknown(address)}
	}
	n, err := strconv.Atoi(port)
	if err != nil || net.ParseIP(host) == nil {
		return ocsfEndpoint{Name: host, Port: n}
	}
	return ocsfEndpoint{IP: host, Port: n}
}

func orUnknown(name string) string {
	if name == "" {
		return "unknown"
	}
	return name
}
