#!/usr/bin/env bash
# Runs the tests in the e2e image, so that the host needs no Node. `check`: format, lint, types,
# unit and daemon tests, but for those that are slow on purpose. `e2e`: real Asterisk, SIPp and the
# mock, on ports of their own; then `make doctor` on a fresh lab, and restarts of a lab with calls.
# `all`: both, with the slow ones, and 3 minutes of `make soak`. The last line counts what passed
# and failed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh

IMAGE="$(image e2e)"
CONTAINER="pipecat-bridge-tests-$$"
SOAK_MINUTES=3
SOAK_CALLS=8
SOAK_SEED=4
passed=0
failed=0
skipped=0

# Ctrl-C: removes the tests' container, and the containers that its end-to-end tests have started
# (by their label).
remove_containers() {
  docker rm --force "$CONTAINER" >/dev/null 2>&1 || true
  docker ps --all --quiet --filter label=pipecat-bridge.e2e | xargs --no-run-if-empty docker rm --force --volumes >/dev/null 2>&1 || true
  docker volume ls --quiet --filter name=pipecat-bridge-e2e | xargs --no-run-if-empty docker volume rm >/dev/null 2>&1 || true
}
trap 'remove_containers; exit 130' INT TERM

# total LOG NAME...: the sum of node:test's final figures with these names, the last of each in the
# log.
total() {
  local log="$1" name
  shift
  for name in "$@"; do sed -n "s/^\(ℹ\|#\) $name \([0-9][0-9]*\)\$/\2/p" "$log" | tail -n 1; done | awk '{ sum += $1 } END { print sum + 0 }'
}

# run NAME DIRECTORY SCRIPT DOCKER-OPTION...: runs one npm script in the image and counts its tests.
# A script that fails without a failed test (lint, types) counts as one.
run() {
  local name="$1" directory="$2" script="$3" log=".logs/test-$1.log" status=0 good bad
  shift 3
  step "$name …"
  docker run --rm --init --name "$CONTAINER" --workdir "/app/$directory" "$@" "$IMAGE" node --run "$script" 2>&1 |
    tee "$log" | show_progress || status=$?
  good="$(total "$log" pass)"
  bad="$(total "$log" fail cancelled)"
  if [ "$status" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
  if [ "$bad" != 0 ]; then show_failure "$log"; fi
  if [ "$good$bad" = 00 ]; then step "$name: fine"; else step "$name: $good passed, $bad failed"; fi
  say_second_tries "$log"
  passed=$((passed + good))
  failed=$((failed + bad))
  skipped=$((skipped + $(total "$log" skipped todo)))
}

# A virtual machine may stand still for longer than a call tolerates (steal). So a failed test with
# calls, end-to-end or of the whole daemon, is tried once more, and the output says so.
say_second_tries() {
  local log="$1" name
  grep -q '^what failed is tried once more' "$log" || return 0
  sed '/^what failed is tried once more/q' "$log" | sed -n '/^✖ failing tests:/,$s/^✖ \(.*\) ([0-9.]*ms)$/\1/p' | while IFS= read -r name; do
    step "  had a second try: $name"
  done
}

# Each finished end-to-end test is a sign of life; unit tests are too many to list.
show_progress() {
  local line
  while IFS= read -r line; do
    case "$line" in
      '✔ '* | '✖ '* | 'not ok'*) if [ -n "${VERBOSE:-}" ]; then step "  ${line% (*ms)}"; fi ;;
    esac
  done
}

# What a failing run said: node:test's own list of failures, else the end of the log.
show_failure() {
  local log="$1"
  if grep -q '^✖ failing tests:' "$log"; then
    # One program, not `head`: `head` would end before its writer, which would then fail (pipefail)
    # and stop the remaining tests.
    awk '/^✖ failing tests:/ { on = 1 } on && lines++ < 200' "$log" >&2
  else
    tail -n 40 "$log" >&2
  fi
  echo "       the whole log: $PWD/$log" >&2
}

# No network, no rights: these need loopback only.
SANDBOX=(--network none --user 65534:65534 --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges)

# check SCRIPT: which tests of the bridge.
check() {
  # The bench's image is built for its C alone, whose warnings are errors.
  scripts/build.sh e2e bench
  run bridge-check bridge check "${SANDBOX[@]}"
  run mock-check e2e/mock-pipecat check "${SANDBOX[@]}"
  run e2e-check e2e check "${SANDBOX[@]}"
  run bench-check bench check "${SANDBOX[@]}"
  run bridge-tests bridge "$1" "${SANDBOX[@]}"
  run mock-tests e2e/mock-pipecat test "${SANDBOX[@]}"
  run bench-tests bench test "${SANDBOX[@]}"
}

e2e() {
  scripts/build.sh e2e asterisk bridge mock-pipecat sipp
  VERBOSE=1 run e2e e2e test:ci --network host --volume /var/run/docker.sock:/var/run/docker.sock --env VERSION
}

# Tests of a whole lab. A lab that `make up` has just started is well by `make doctor`; what an
# operator does to it cuts no call unasked; a new bridge takes the place of an old one.
labs() {
  local name log
  for name in lab planned rollout; do
    log=".logs/test-$name.log"
    step "$name …"
    if "scripts/test-$name.sh" >"$log" 2>&1; then
      step "$name: 1 passed, 0 failed"
      passed=$((passed + 1))
    else
      show_failure "$log"
      step "$name: 0 passed, 1 failed"
      failed=$((failed + 1))
    fi
  done
}

# Calls of all kinds, with faults and planned acts, for some minutes (`make soak`). The plan is the
# same each time, so that a fault is found by the commit that makes it. `make soak` has a new one.
soak() {
  local log=".logs/test-soak.log"
  step "soak …"
  if MINUTES="$SOAK_MINUTES" CALLS="$SOAK_CALLS" SEED="$SOAK_SEED" scripts/soak.sh >"$log" 2>&1; then
    step "soak: 1 passed, 0 failed"
    passed=$((passed + 1))
  else
    grep -E '^(BROKEN|FAIL)' "$log" >&2 || true
    show_failure "$log"
    step "soak: 0 passed, 1 failed"
    failed=$((failed + 1))
  fi
}

report() {
  echo
  printf '%d passed, %d failed' "$passed" "$failed"
  if [ "$skipped" != 0 ]; then printf ', %d skipped' "$skipped"; fi
  echo
  [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

main() {
  scripts/host.sh
  scripts/base.sh
  mkdir -p .logs
  case "$1" in
    check) check test:ci:quick ;;
    e2e)
      e2e
      labs
      ;;
    all)
      check test:ci
      e2e
      soak
      labs
      ;;
  esac
  report
}

main "$@"
