#!/usr/bin/env bash
# Applies a change of .env, of a provider's file or of a secret to the running stack; no call
# notices it. A mistake is named, and what runs goes on (exit status 3). What needs a restart is
# named too, and stays as it is until `make up`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/lock.sh
. scripts/settings.sh
. scripts/ports.sh
. scripts/cuts.sh
. scripts/reloads.sh

export UNCHANGED_STATUS=3
declare -A digests=() configurations=()

# in_running SERVICE COMMAND…: in its container, with the settings of .env on standard input. Of two
# bridges it is the new one: `docker compose exec` takes the old one.
in_running() {
  local settings service="$1"
  shift
  settings="$(bridge_settings)"
  docker exec --interactive "$(running_id "$service")" "$@" <<<"$settings"
}

check() {
  local service command
  open_logs
  for service in asterisk bridge; do
    command=(/usr/local/lib/pipecat-bridge/entrypoint --check)
    if [ "$service" = bridge ]; then command=(nice node src/main.ts --check -); fi
    in_running "$service" "${command[@]}" >.logs/check.log 2>&1 || {
      cat .logs/check.log >&2
      fail "$service refuses the change; what runs goes on as it was" "put right what stands above, then: make reload"
    }
    grep '^note: ' .logs/check.log || true
    take_digests "$service" .logs/check.log
  done
}

# planned_environment SERVICE: what .env gives its container, a line each. Its values are JSON's.
planned_environment() {
  docker compose config --format json | sed -n "/^    \"$1\": {\$/,/^    }/p" | sed -n '/^      "environment": {$/,/^      }/{//!p}' |
    sed -nE 's/^ *"([A-Z_]+)": "(.*)",?$/\1=\2/p' |
    sed 's/\$\$/$/g; s/\\\\/\x01/g; s/\\"/"/g; s/\\u0026/\&/g; s/\\u003c/</g; s/\\u003e/>/g; s/\x01/\\/g'
}

# changed_settings SERVICE: the names of settings that its container has otherwise than .env.
changed_settings() {
  local names
  names="$(docker compose config --format json | sed -n "/^    \"$1\": {\$/,/^    }/p" | sed -n '/^      "environment": {$/,/^      }/{//!p}' | cut -d'"' -f2)"
  comm -3 <(planned_environment "$1" | sort) \
    <(docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$(running_id "$1")" | grep = | sort) |
    tr -d '\t' | cut -d= -f1 | sort -u | grep -xF -f <(echo "$names") || true
}

# What stays as it is: named, with the way to apply it.
report_restarts() {
  local service reason names
  for service in bridge asterisk; do
    reason="$(reason_to_restart "$service" "${digests[$service]}")"
    [ -n "$reason" ] || continue
    names="$(changed_settings "$service" | xargs)"
    step "note: $service needs a restart (make up) for the rest: ${names:-$reason}"
  done
}

main() {
  local service
  require_own_stack
  lock_stack
  for service in asterisk bridge; do
    [ -n "$(running_id "$service")" ] || fail "$service does not run" "make up"
  done
  [ -n "$(running_digest bridge)" ] || fail "the bridge does not answer, or is of a version without reload" "make up"
  scripts/configure.sh
  check
  if [ "$(running_digest asterisk)" != "${digests[asterisk]}" ]; then
    fail "Asterisk needs a restart for a part of what has changed (a provider's CONTACT_PORT or NAT=yes); nothing was applied" "make up"
  fi
  # After a Ctrl-C a bridge that dies starts with what it had.
  on_interrupt 'restore_settings "$(running_id bridge)"'
  in_running bridge nice node src/main.ts --store - >/dev/null
  if needs_reload; then reload_if_needed; else step "nothing has changed that a reload applies"; fi
  keep_settings "$(running_id bridge)"
  on_interrupt
  report_restarts
}

main
