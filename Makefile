# Thin: each target is a script in scripts/, which says more about it.
.DEFAULT_GOAL := help
.PHONY: help up call down logs ps test check e2e doctor bundle clean
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## from a bare host to a lab that answers calls: engine, images, .env, stack
	@scripts/up.sh

call: ## one test call through the lab, PASS or FAIL (TO=100 SECONDS=8)
	@TO="$(TO)" CALL_SECONDS="$(SECONDS)" scripts/call.sh

down: ## stop the lab; nothing of it stays but its images and settings
	@scripts/down.sh

logs: ## follow the logs of the stack
	@docker compose logs --follow --tail 100

ps: ## what runs
	@docker compose ps --all

check: ## the fast part of the tests: format, lint, types, unit and daemon tests
	@scripts/test.sh check

e2e: ## end-to-end tests: real Asterisk, SIPp and a mock Pipecat, beside a running lab
	@scripts/test.sh e2e

test: ## all tests
	@scripts/test.sh all

doctor: ## what may be wrong with host, settings and stack, and what to do
	@scripts/doctor.sh

bundle: ## one archive in dist/ that installs the product on a VM
	@scripts/bundle.sh

clean: ## down, and remove the images and volumes that we made
	@scripts/clean.sh
