# gprxy: `make help` lists the targets.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
LDFLAGS  = -X gprxy/cmd.version=$(VERSION) -X gprxy/cmd.commit=$(COMMIT)
T       ?= 10s
B       ?= 900000000
SEED    ?=
S       ?= 5000

# SQLite's C, translated to Go, has no goroutines of its own to race: with the detector in it too, the tests that write the
# event log take two to three times the processor's time. Of that package alone: others of its module do synchronize in Go.
# Its memory is its own, too: what it does with pointers need not be checked.
RACE = -race -gcflags=modernc.org/sqlite/lib='-race=false -d=checkptr=0' -gcflags=modernc.org/memory=-d=checkptr=0 -gcflags=modernc.org/libc=-d=checkptr=0

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help demo test build check versions fuzz giant flood crash adversary bench bench-log bench-audit clean races

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the whole story on this machine: PostgreSQL, an identity provider, gprxy, people (make demo KEEP=folder leaves its event log)
	@echo "Building the demo; the first time this takes a minute or two, for everything is compiled. Then PostgreSQL, an issuer and gprxy start on this machine."
	@$(GO) run ./cmd/demo $(if $(KEEP),--keep $(KEEP))

test: compiler ## run all tests with the race detector; installs PostgreSQL and a C compiler if there is none
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 $(GO) test $(RACE) -timeout 15m -parallel 8 ./session ./cmd ./store ./...

# The race detector links with C. gprxy itself is built without.
.PHONY: compiler
compiler:
	@command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || { \
	  command -v apt-get >/dev/null || { echo "the race detector needs a C compiler: install one (macOS: xcode-select --install)"; exit 1; }; \
	  echo "installing a C compiler for the race detector: apt-get install gcc libc6-dev"; \
	  as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
	  $$as_root apt-get update -qq && $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev; }

build: ## build ./gprxy
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o gprxy .

check: ## format, vet and static checks
	@test -z "$$(gofmt -l .)" || { gofmt -l . ; echo "gofmt would change these files: run gofmt -w"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

versions: V ?= 13 15 18
versions: PACKAGES ?= ./pool/... ./session/... ./cmd ./cmd/demo ./cmd/prompt
versions: compiler ## run the tests that meet PostgreSQL on the oldest, the packaged and the newest version (make versions V=13 PACKAGES=./pool)
	@failed=; for v in $(V); do \
	  echo "PostgreSQL $$v"; \
	  bin=$$($(GO) run ./pool/pooltest/bin $$v) && PG_BIN=$$bin CGO_ENABLED=1 $(GO) test $(RACE) -count 1 -timeout 15m -parallel 8 $(PACKAGES) || failed="$$failed $$v"; \
	done; \
	[ -z "$$failed" ] || { echo "failed on PostgreSQL$$failed"; exit 1; }

fuzz: ## run every fuzzer for T each (make fuzz T=60s), on after a finding, and fail in the end
	@fuzzers=$$(grep -roE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | sed -E 's|^(.*)/[^/]*:func (.*)|\1:\2|' | sort); \
	total=$$(echo "$$fuzzers" | wc -l | tr -d ' '); n=0; found=; \
	for fuzzer in $$fuzzers; do \
	  n=$$((n + 1)); package=$${fuzzer%%:*}; target=$${fuzzer##*:}; \
	  echo "[$$n/$$total] $$package $$target"; \
	  $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(T) -fuzzminimizetime 5s $$package || found="$$found $$package:$$target"; \
	done; \
	[ -z "$$found" ] || { echo "findings (their inputs stand in testdata/fuzz):$$found"; exit 1; }

crash: N ?= 100
crash: ## kill gprxy N times at random moments under load, and hold its log against what clients saw (make crash N=500 DURABILITY=strict)
	@$(GO) run ./cmd/crash --kills $(N) $(if $(SEED),--seed $(SEED)) $(if $(DURABILITY),--durability $(DURABILITY))

adversary: T := $(if $(filter file,$(origin T)),10m,$(T))
adversary: ## have hostile clients play random conversations, and hold the event log against PostgreSQL's (make adversary T=30m V=15 SEED=1 ONLY=g17)
	@$(GO) run ./cmd/adversary --time $(T) $(if $(SEED),--seed $(SEED)) $(if $(V),--version $(V)) $(if $(ONLY),--only $(ONLY))

giant: ## move values of 900 MB through gprxy both ways and watch its memory (make giant B=900000000)
	$(GO) test -v -timeout 20m -run Giant ./cmd -giant $(B)

flood: ## measure logins and cancels beside S slow sockets and 20 x S wrong cancel keys (make flood S=5000)
	$(GO) test -v -timeout 20m -count 1 -run TestAFlood ./cmd -flood $(S)

bench: ## measure gprxy beside direct PostgreSQL and PgBouncer (make bench ARGS='--rounds 5')
	@$(GO) run ./bench $(ARGS)

races: N ?= 100000
races: ## send N cancel requests to sessions that come and go, and have N/5 clients leave in the middle of something (make races N=100000)
	$(GO) test ./session -run 'Test(Cancel|Settle)Race$$' -v -count 1 -timeout 60m -parallel 1 -cancels $(N) -settles $$(($(N) / 5))

bench-log: ## measure the event log: appends, logins, queries
	$(GO) test -run '^$$' -bench . -benchmem ./store

bench-audit: N ?= 20000
bench-audit: ## put questions to a large event log (make bench-audit N=1000000 for ten million events)
	@$(GO) run ./bench/audit --sessions $(N)

clean: ## remove what was built
	rm -f gprxy
