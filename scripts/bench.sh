#!/usr/bin/env bash
# Measures the bridge on this machine, in about 5 minutes: alone (relay), then with a real Asterisk
# (stack). It runs in a network namespace that has only loopback, so it does not disturb a running
# lab. But a lab takes CPU time: stop it for exact figures.
# BENCH_CALLS="1 50 200 400 500 800x2"  BENCH_SECONDS=4  BENCH_MODES="burst fast steps"
# BENCH_STACK_CALLS="50 100 …"  BENCH_PROFILE=1
# The part flood: BENCH_FLOOD_CALLS=50  BENCH_FLOOD_INVITES=500  BENCH_FLOOD_RATE=100
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh

BENCH="pipecat-bridge/bench:${VERSION:-dev}"
ASTERISK="pipecat-bridge/asterisk:${VERSION:-dev}"
NAME="pipecat-bridge-bench-$$"
JSON="$PWD/.logs/bench.json"
SANDBOX=(--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges)
# The load generator must send on time: it may use real-time priority, or the highest nice priority.
# Only root may do that; all other capabilities are dropped.
PUNCTUAL=(--user 0:0 --cap-add SYS_NICE)

remove_containers() { docker rm --force "$NAME" "$NAME-asterisk" >/dev/null 2>&1 || true; }
trap remove_containers EXIT
trap 'exit 130' INT TERM

# The last line is for programs: one JSON object.
show() {
  local line
  while IFS= read -r line; do
    case "$line" in '{'*) printf '%s\n' "$line" >>"$JSON" ;; *) printf '%s\n' "$line" ;; esac
  done
}

# Options of the bench, and settings of the bridge, that are set here.
passed_on() { compgen -e | grep -E '^(BENCH|MEDIA|PLAYOUT|BOT)_' | sed 's/^/--env=/' || true; }

relay() {
  step "the bridge alone: a stand-in Asterisk and a stand-in bot load it …"
  # shellcheck disable=SC2046 # words on purpose
  docker run --rm --init --name "$NAME" --network none "${SANDBOX[@]}" "${PUNCTUAL[@]}" $(passed_on) "$BENCH" src/relay-bench.ts | show
}

start_asterisk() {
  docker run --detach --rm --name "$NAME-asterisk" --network none "${SANDBOX[@]}" \
    --tmpfs /run/asterisk:uid=5060,gid=5060,mode=0700 --volume "$PWD/asterisk/providers:/etc/asterisk-providers:ro" \
    --env SIP_ADDRESS=127.0.0.1 --env ARI_USERNAME --env ARI_PASSWORD "$ASTERISK" >/dev/null
  for _ in $(seq 60); do
    [ "$(docker inspect --format '{{.State.Health.Status}}' "$NAME-asterisk" 2>/dev/null)" = healthy ] && return
    sleep 0.5
  done
  docker logs --tail 20 "$NAME-asterisk" >&2 || true
  fail "Asterisk does not become healthy"
}

# stack PROGRAM TEXT: a program that needs a real Asterisk beside it.
stack() {
  step "$2"
  export ARI_USERNAME=bench ARI_PASSWORD
  ARI_PASSWORD="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
  start_asterisk
  # shellcheck disable=SC2046 # words on purpose
  docker run --rm --name "$NAME" --network "container:$NAME-asterisk" --pid "container:$NAME-asterisk" "${SANDBOX[@]}" "${PUNCTUAL[@]}" \
    --env ARI_USERNAME --env ARI_PASSWORD $(passed_on) "$BENCH" "src/$1" | show
}

more_calls() {
  stack stack-bench.ts "the stack: SIPp, Asterisk, the bridge and a stand-in bot, more calls until the sound suffers …"
}

main() {
  scripts/host.sh
  scripts/base.sh
  scripts/build.sh bench asterisk
  mkdir -p .logs
  : >"$JSON"
  case "${1:-all}" in
    relay) relay ;;
    stack) more_calls ;;
    flood) stack flood-bench.ts "live calls, alone and beside a flood of INVITEs over MAX_CALLS …" ;;
    self-test) docker run --rm --init --name "$NAME" --network none "${SANDBOX[@]}" "${PUNCTUAL[@]}" "$BENCH" src/self-test.ts ;;
    all)
      relay
      echo
      more_calls
      ;;
    *) fail "unknown part: $1" "scripts/bench.sh [relay|stack|flood|self-test|all]" ;;
  esac
  step "done; the same as JSON, an object a line: .logs/bench.json"
}

main "$@"
