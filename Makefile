include scripts/stack.mk
.PHONY: check e2e test soak fuzz bench bundle clean

check: ## the quick part of the tests: format, lint, types, unit and daemon tests
	@scripts/test.sh check

e2e: ## end-to-end tests: real Asterisk, SIPp and a mock Pipecat, beside a running lab
	@scripts/test.sh e2e

test: ## all tests
	@scripts/test.sh all

soak: ## calls of all kinds with faults and planned acts, for MINUTES (60); CALLS at a time, SEED
	@MINUTES="$(MINUTES)" CALLS="$(CALLS)" SEED="$(SEED)" scripts/soak.sh

fuzz: ## random inputs to all that is parsed from outside (MINUTES, SEED)
	@MINUTES="$(MINUTES)" SEED="$(SEED)" scripts/fuzz.sh

bench: ## what a call costs and how it sounds on this machine (BENCH_CALLS, BENCH_SECONDS, BENCH_PROFILE)
	@BENCH_CALLS="$(BENCH_CALLS)" BENCH_SECONDS="$(BENCH_SECONDS)" BENCH_PROFILE="$(BENCH_PROFILE)" scripts/bench.sh

bundle: ## one archive in dist/ that installs the product on a VM
	@scripts/bundle.sh

clean: ## down, and remove the images and volumes that we made
	@scripts/clean.sh
