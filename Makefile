# gprxy: `make help` lists the targets.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
LDFLAGS  = -X gprxy/cmd.version=$(VERSION) -X gprxy/cmd.commit=$(COMMIT)
T       ?= 10s

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help demo test build check fuzz bench-log clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the whole story on this machine: PostgreSQL, an identity provider, gprxy, people
	@$(GO) run ./cmd/demo

test: ## run all tests with the race detector; installs PostgreSQL if there is none
	$(GO) test -race -timeout 10m ./...

build: ## build ./gprxy
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o gprxy .

check: ## format, vet and static checks
	@test -z "$$(gofmt -l .)" || { gofmt -l . ; echo "gofmt would change these files: run gofmt -w"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

fuzz: ## run every fuzzer for T each (make fuzz T=60s)
	@set -e; for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "== $$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(T) $$package; \
	  done; \
	done

bench-log: ## measure the event log: appends, logins, queries
	$(GO) test -run '^$$' -bench . -benchmem ./store

clean: ## remove what was built
	rm -f gprxy
