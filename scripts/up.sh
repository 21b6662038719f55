#!/usr/bin/env bash
# From whatever this host is to a stack that answers calls; what is done already is left alone.
# Where a service has to restart while it has calls, it asks. DRAIN=1 (--drain) waits for the calls,
# at most DRAIN_S seconds; NOW=1 (--now) cuts them. Exit status 3: nothing that runs was touched.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/lock.sh
. scripts/settings.sh
. scripts/ports.sh
. scripts/cuts.sh
. scripts/reloads.sh
. scripts/rollout.sh

HEALTHY_WITHIN_S=60
# Until something is stopped or started.
export UNCHANGED_STATUS=3

# service -> digest of the configuration in its files: of what needs a restart, and of all
declare -A digests=() configurations=()
# services that have to restart; the bridge comes first
restarts=()
# What becomes of calls in progress: drain, now, drain-then-now; empty: ask.
how=""
# The Stasis app that the bridge has by its files. Empty: it is of a version that cannot hand over.
bridge_app=""

# Services that run now: their ports are theirs.
running_services() { docker compose ps --services --status running 2>/dev/null; }

# A mistyped profile would remove the mock without a word.
require_known_profiles() {
  local unknown
  unknown="$(unknown_profiles | xargs)"
  [ -z "$unknown" ] || fail "COMPOSE_PROFILES in .env names what compose.yaml has not: $unknown" "lab (the mock bot), or nothing"
}

# Services that ran under a profile which is off now go: compose itself leaves them running.
remove_switched_off() {
  local on service
  on="$(docker compose config --services)"
  while read -r service; do
    [ -n "$service" ] || continue
    grep -qx "$service" <<<"$on" && continue
    step "$service is not of COMPOSE_PROFILES any more: stopping it …"
    docker compose --profile '*' rm --stop --force "$service" >/dev/null
  done < <(docker compose --profile '*' ps --all --services)
}

# Which services have to restart, and why. What only compose would restart is not among them: it has
# no calls.
find_restarts() {
  local service reason
  for service in bridge asterisk; do
    reason="$(reason_to_restart "$service" "${digests[$service]:-}")"
    if [ "$service" = bridge ] && [ -z "$reason" ] && ! settle_bridges; then
      reason="the newest of its containers does not take the new calls"
    fi
    [ -n "$reason" ] || continue
    restarts+=("$service")
    step "$service has to restart: $reason"
  done
}

# compose itself would stop Asterisk before the bridge.
stop_what_restarts() {
  local service
  [ ${#restarts[@]} -gt 0 ] || return 0
  stop_bridge
  for service in "${restarts[@]}"; do docker compose rm --stop --force "$service"; done
}

start() {
  local services=()
  remove_switched_off
  stop_what_restarts
  tidy_bridges
  store_settings
  # compose would start an old bridge anew that still has calls, or has just ended.
  if [ -n "$(setting BRIDGE_CONTAINERS)" ]; then
    mapfile -t services < <(docker compose config --services | grep -vx bridge)
  fi
  docker compose up --detach --no-build --remove-orphans --wait --wait-timeout "$HEALTHY_WITHIN_S" "${services[@]}"
}

# The bridge's settings that apply on reload: a file that it reads.
store_settings() {
  local settings
  settings="$(bridge_settings)"
  docker compose run --rm --no-deps --no-TTY bridge node src/main.ts --store - <<<"$settings"
}

# Where nothing but the bridge has to restart, a new one takes the calls beside it, and nobody is
# asked. Fails when that cannot be, or has failed.
restart_beside() {
  [ "${restarts[*]}" = bridge ] && can_roll_out "$bridge_app" || return
  step "a new bridge takes the new calls; those in progress stay with the old one …"
  open_logs
  on_interrupt 'restore_settings "$(running_id bridge)"'
  store_settings >.logs/rollout.log 2>&1 || return
  if ! roll_out 8>&1 >>.logs/rollout.log 2>&1; then
    cat .logs/new-bridge.log >&2 2>/dev/null || tail -n 15 .logs/rollout.log >&2
    fail "the new bridge did not take the calls; the old one goes on as it was" "put right what stands above, then: make up" "to restart it, calls or not: make up NOW=1"
  fi
  restarts=()
}

# A mistake in settings, providers or secrets is found before anything that runs is stopped.
check_configuration() {
  local service command settings
  open_logs
  settings="$(bridge_settings)"
  for service in asterisk bridge; do
    command=(--check)
    if [ "$service" = bridge ]; then command=(node src/main.ts --check -); fi
    docker compose run --rm --no-deps --no-TTY "$service" "${command[@]}" <<<"$settings" >.logs/check.log 2>&1 &&
      { grep '^note: ' .logs/check.log || true; } && take_digests "$service" .logs/check.log &&
      bridge_app="$(sed -n 's/^app: //p' .logs/check.log)" && continue
    grep -vE '^ ?(Container|Volume|Network) ' .logs/check.log >&2 || true
    fail "$service would not start; nothing was stopped or started" "put right what stands above, then: make up"
  done
}

# Says which service is not well, with the end of its log.
explain_unhealthy() {
  local service
  for service in $(docker compose ps --all --services); do
    docker compose ps --all --format '{{.Status}}' "$service" | grep -q '(healthy)' && continue
    printf '\n--- %s: %s\n' "$service" "$(docker compose ps --all --format '{{.Status}}' "$service")"
    docker compose --ansi never logs --no-log-prefix --tail 15 "$service" 2>&1 | plain
  done >&2
}

# Ctrl-C while a stack starts that did not run before: it goes again.
undo_start() {
  on_interrupt
  echo
  step "interrupted: stopping what was started …"
  scripts/down.sh
  exit 130
}

start_stack() {
  step "starting the stack, waiting until it is healthy …"
  open_logs
  unset UNCHANGED_STATUS
  # What has been stopped has to come up, also where nobody sees it.
  trap '' HUP
  if [ -z "$(running_services)" ]; then trap undo_start INT TERM; fi
  if ! start >.logs/up.log 2>&1; then
    explain_unhealthy
    tail -n 5 .logs/up.log >&2
    fail "the stack is not healthy" "put right what the logs above say, then: make up" "what else may be wrong: make doctor"
  fi
}

# A service can be well and yet not have got its port.
require_listening() {
  local service protocol address port purpose
  while read -r service protocol address port purpose; do
    [ -n "$(port_holder "$protocol" "$address" "$port")" ] ||
      fail "$service runs, but does not listen on $protocol $address:$port ($purpose)" "docker compose logs $service"
  done < <(listeners)
}

# The address to dial: where SIP listens on all, the one that others see.
sip_host() {
  local address
  address="$(setting SIP_ADDRESS 127.0.0.1)"
  if [ "$address" = 0.0.0.0 ]; then setting EXTERNAL_ADDRESS "$(hostname -I | cut -d' ' -f1)"; else echo "$address"; fi
}

summary() {
  local service protocol address port purpose
  step "the stack is up"
  echo
  while read -r service protocol address port purpose; do
    printf '  %-13s %-21s %s\n' "$service" "$address:$port" "$purpose ($protocol)"
  done < <(listeners)
  printf '  %-13s %-21s %s\n' asterisk "$(setting ASTERISK_RTP_PORT_MIN 10000)-$(setting ASTERISK_RTP_PORT_MAX 17999)" "RTP with providers (udp)"
  printf '  %-13s %-21s %s\n' bridge "$(setting RTP_PORT_MIN 20000)-$(setting RTP_PORT_MAX 23999)" "RTP with Asterisk (udp)"
  cat <<END

  Dial  sip:100@$(sip_host):$(setting SIP_PORT 5060)  from a provider's address; providers are in asterisk/providers/
  Next  make call      one test call, PASS or FAIL
        make logs      what the stack says
        make doctor    what may be wrong, and what to do
END
}

# An installation has its images; a checkout builds them.
provide_images() {
  if is_installation; then return; fi
  scripts/base.sh
  scripts/build.sh asterisk bridge mock-pipecat
}

read_flags() {
  local flag
  for flag in "$@"; do
    case "$flag" in
      --drain) DRAIN=1 ;;
      --now) NOW=1 ;;
      *) fail "unknown argument: $flag" "make up, make up DRAIN=1, make up NOW=1" ;;
    esac
  done
  if [ -n "${DRAIN:-}" ]; then how="drain"; fi
  if [ -n "${NOW:-}" ]; then how="${how:+drain-then-}now"; fi
}

main() {
  read_flags "$@"
  on_interrupt
  # The engine that it may start runs on.
  scripts/host.sh 9<&-
  lock_stack
  scripts/configure.sh
  require_own_stack
  require_known_profiles
  require_free_ports
  provide_images
  check_configuration
  tidy_bridges
  find_restarts
  if [ "${how%%now*}" = "$how" ]; then restart_beside || true; fi
  if [ ${#restarts[@]} -gt 0 ]; then agree_to_cut "$how" "${restarts[@]}"; fi
  start_stack
  # A bridge that was started anew has them.
  if [ ${#restarts[@]} -gt 0 ]; then keep_settings "$(running_id bridge)"; fi
  reload_if_needed up
  keep_settings "$(running_id bridge)"
  scripts/secrets.sh --tidy
  require_listening
  summary
}

main "$@"
