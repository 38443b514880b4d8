// From where a service account may log in to PostgreSQL, as far as PostgreSQL tells the account.
package pool

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// AccountFacts is what a service account can learn about itself.
type AccountFacts struct {
	Superuser bool
	// Elsewhere are the rules of pg_hba.conf that let it in from other machines than gprxy's, in words. Unknown says that
	// PostgreSQL does not show its rules to the account, as it does not by default.
	Elsewhere []string
	Unknown   bool
}

// Account connects as CheckLogin does and asks about r.User.
func (p *Pools) Account(ctx context.Context, r Request) (facts AccountFacts, err error) {
	err = p.temporary(ctx, r, func(pg *pgconn.PgConn, _ *loginObserver) (err error) {
		facts.Superuser = pg.ParameterStatus("is_superuser") == "on"
		facts.Elsewhere, facts.Unknown, err = elsewhere(ctx, pg, r.User)
		return err
	})
	return facts, err
}

const (
	mayReadRulesSQL = `SELECT pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT')
		AND pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE'), COALESCE(pg_catalog.host(pg_catalog.inet_client_addr()), '')`
	// A rule's groups are told by their names with a plus sign. The address is a name, a keyword or a number with a mask.
	rulesSQL = `SELECT line_number, type, auth_method, COALESCE(address, ''), COALESCE(netmask, ''),
			user_name @> ARRAY['all'] OR user_name @> ARRAY[current_user::text] OR EXISTS (
				SELECT FROM pg_catalog.unnest(user_name) u JOIN pg_catalog.pg_roles r ON '+' || r.rolname = u
				WHERE pg_catalog.pg_has_role(r.oid, 'MEMBER'))
		FROM pg_catalog.pg_hba_file_rules WHERE error IS NULL ORDER BY line_number`
)

func elsewhere(ctx context.Context, pg *pgconn.PgConn, account string) (rules []string, unknown bool, err error) {
	row, err := texts(ctx, pg, mayReadRulesSQL)
	if err != nil || row[0][0] != "t" {
		return nil, err == nil, err
	}
	here := row[0][1]
	all, err := texts(ctx, pg, rulesSQL)
	if err != nil {
		return nil, false, err
	}
	var refused []netip.Prefix
	for _, rule := range all {
		line, kind, method, address, mask, matches := rule[0], rule[1], rule[2], rule[3], rule[4], rule[5]
		if kind == "local" || matches != "t" {
			continue
		}
		ranges := addresses(address, mask)
		if method == "reject" {
			refused = append(refused, ranges...)
			continue
		}
		ranges = slices.DeleteFunc(ranges, func(r netip.Prefix) bool { return isHere(r, here) || covered(r, refused) })
		if len(ranges) > 0 || isName(address) {
			rules = append(rules, fmt.Sprintf("line %s of pg_hba.conf lets %s in from %s", line, account, strings.TrimSpace(address+" "+mask)))
		}
	}
	return rules, false, nil
}

// addresses are the ranges that an address of a rule stands for; none for a host name, and for the server's own.
func addresses(address, mask string) []netip.Prefix {
	if address == "all" {
		return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return nil
	}
	bits := addr.BitLen()
	if m, err := netip.ParseAddr(mask); err == nil {
		bits = 0
		for _, b := range m.AsSlice() {
			for ; b&0x80 != 0; b <<= 1 {
				bits++
			}
		}
	}
	return []netip.Prefix{netip.PrefixFrom(addr, bits)}
}

// isName tells of the addresses that are no numbers those that can be other machines.
func isName(address string) bool {
	_, err := netip.ParseAddr(address)
	return err != nil && address != "all" && address != "samehost" && address != ""
}

// isHere: the range is the machine that gprxy connects from, or the server's own.
func isHere(r netip.Prefix, here string) bool {
	addr, err := netip.ParseAddr(here)
	return r.Addr().IsLoopback() && r.Bits() >= 8 || err == nil && r.IsSingleIP() && r.Addr() == addr.Unmap()
}

// covered: an earlier rule refuses all of the range.
func covered(r netip.Prefix, refused []netip.Prefix) bool {
	return slices.ContainsFunc(refused, func(by netip.Prefix) bool { return by.Bits() <= r.Bits() && by.Contains(r.Addr()) })
}

// texts runs a query and returns its rows.
func texts(ctx context.Context, pg *pgconn.PgConn, sql string) (rows [][]string, err error) {
	results, err := pg.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("asking what PostgreSQL lets the account do: %w", err)
	}
	for _, values := range results[0].Rows {
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = string(v)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
