// The people of the story who come, work or are refused, and leave by themselves.
package main

import (
	"context"
	"errors"
	"time"

	"gprxy/auth/authtest"
)

const mail = "@example.com"

// tokenOf is a person with a token of the company's login; claims come on top of the usual ones.
func (d *demo) tokenOf(name, role, variable string, claims authtest.Claims) person {
	all := authtest.Claims{"email": name + mail, "roles": []string{role}}
	for claim, value := range claims {
		all[claim] = value
	}
	return person{name: name, identity: name + mail, secret: d.issuer.Token(all), secretName: variable}
}

func (d *demo) alice() person { return d.tokenOf("alice", "reader", "ALICE_TOKEN", nil) }
func (d *demo) bob() person   { return d.tokenOf("bob", "writer", "BOB_TOKEN", nil) }
func (d *demo) dave() person  { return d.tokenOf("dave", "writer", "DAVE_TOKEN", nil) }

func aliceReads(ctx context.Context, d *demo) error {
	v, err := d.visit(ctx, d.alice(), askWho, "select status, count(*), sum(quantity * price) from orders group by status")
	if err != nil {
		return err
	}
	if err := errors.Join(v.must(0, "shipped"), v.servedBy(reader)); err != nil {
		return err
	}
	d.screen.ok("served by %s, because role reader is mapped to it; PostgreSQL knows that it is %s", reader, v.said.person)
	return nil
}

func aliceMayNotWrite(ctx context.Context, d *demo) error {
	v, err := d.visit(ctx, d.alice(), askWho, "update orders set price = 0.01 where customer = 'Ada'")
	if err != nil {
		return err
	}
	return errors.Join(v.must(1, "ERROR:  permission denied for table orders"), v.servedBy(reader))
}

func bobWrites(ctx context.Context, d *demo) error {
	v, err := d.visit(ctx, d.bob(), askWho, "update orders set status = 'paid' where id = 7 returning id, customer, item, status")
	if err != nil {
		return err
	}
	if err := errors.Join(v.must(0, "UPDATE 1"), v.servedBy(writer)); err != nil {
		return err
	}
	d.screen.ok("served by %s, because role writer is mapped to it", writer)
	return nil
}

func carolComesWithPassword(ctx context.Context, d *demo) error {
	carol := person{name: "carol", identity: "carol", secret: d.accounts.carol, secretName: "CAROL_PASSWORD"}
	v, err := d.visit(ctx, carol, askWho, "select count(*) from orders")
	if err != nil {
		return err
	}
	if err := errors.Join(v.must(0, "1000"), v.servedBy(service)); err != nil {
		return err
	}
	d.screen.ok("PostgreSQL checked her password; GPRXY_USER (%s) serves her", service)
	return nil
}

func malloryIsRefused(ctx context.Context, d *demo) error {
	return d.turnedAway(ctx, d.tokenOf("mallory", "intern", "MALLORY_TOKEN", nil), "no_mapped_role")
}

func expiredTokenIsRefused(ctx context.Context, d *demo) error {
	yesterday := time.Now().Add(-24 * time.Hour)
	old := authtest.Claims{"iat": yesterday.Unix(), "exp": yesterday.Add(time.Hour).Unix()}
	if err := d.turnedAway(ctx, d.tokenOf("alice", "reader", "OLD_TOKEN", old), "expired"); err != nil {
		return err
	}
	d.screen.say("She is told, for her token was genuine. One that is not gets the same text for every reason; the reason is on record.")
	return nil
}

// turnedAway is the visit of a person who must not be let in, for a reason that must be on record.
func (d *demo) turnedAway(ctx context.Context, p person, reason string) error {
	v, err := d.visit(ctx, p, askWho)
	if err != nil {
		return err
	}
	d.visits[len(d.visits)-1].refusal = reason
	return v.must(2, "FATAL:")
}
