# What runs, stops and looks at the stack: in a checkout and where a bundle is installed.
# Thin: each target is a script in scripts/, which says more about it.
.DEFAULT_GOAL := help
.PHONY: help up reload call bot-check down logs ps doctor
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(lastword $(MAKEFILE_LIST)) $(firstword $(MAKEFILE_LIST))

up: ## from a bare host to a stack that answers calls; after a change: apply it (DRAIN=1 waits for calls, NOW=1 cuts them)
	@DRAIN="$(DRAIN)" NOW="$(NOW)" scripts/up.sh

reload: ## apply a change of .env, providers or secrets while calls go on; what needs a restart is named
	@scripts/reload.sh

call: ## one test call through it, PASS or FAIL (TO=100 SECONDS=8)
	@TO="$(TO)" CALL_SECONDS="$(SECONDS)" scripts/call.sh

bot-check: ## a caller against a bot, without Asterisk: what passed, and advice (URL=ws://… DIALECT= TO= SPEECH=hello.wav JSON=1)
	@scripts/bot-check.sh

down: ## stop it; images, settings and call records stay (NOW=1 ends calls at once)
	@NOW="$(NOW)" ALL="$(ALL)" scripts/down.sh

logs: ## follow the logs
	@scripts/compose.sh logs --follow --tail 100

ps: ## what runs
	@scripts/compose.sh ps --all

doctor: ## what may be wrong with host, settings and stack, and what to do
	@scripts/doctor.sh
