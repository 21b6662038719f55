# shellcheck shell=bash
# Sourced in the directory of the stack: applies a change of settings, providers and secrets while
# the services run. Needs progress.sh, settings.sh, ports.sh and cuts.sh, and the arrays `digests`
# and `configurations` (service -> digest of what needs a restart, and of all, in its files).
# shellcheck disable=SC2034

RELOAD_S=20        # from the order to the new configuration
RELOAD_POLL_S=0.2

# take_digests SERVICE FILE: of the output of its --check.
take_digests() {
  configurations[$1]="$(sed -n 's/^configuration: //p' "$2")"
  digests[$1]="$(sed -n 's/^restart: //p' "$2")"
  digests[$1]="${digests[$1]:-${configurations[$1]}}"
}

# reload_if_needed: applies what the services have not taken yet, and says what that was. Ends the
# script where one refuses.
reload_if_needed() {
  local began
  needs_reload || return 0
  began="$(date +%s)"
  reload_stack || fail "the reload was refused; what runs goes on as it was" "put right what stands above, then: make ${1:-reload}"
  step "applied without a restart; calls in progress go on with what they began with"
  applied "$began" | sed 's/^/       /'
}

# needs_reload: whether a service runs with another configuration than its files say.
needs_reload() {
  local service running
  for service in bridge asterisk; do
    running="$(running_digest "$service" configuration)"
    if [ -n "$running" ] && [ "$running" != "${configurations[$service]}" ]; then return 0; fi
  done
  return 1
}

# reload_stack: has the bridge apply its files, and waits until it has. It has Asterisk apply the
# providers' first. Fails with their own words.
reload_stack() {
  local began end
  began="$(date +%s)"
  end=$(($(uptime_s) + RELOAD_S))
  signal_in "$(running_id bridge)" HUP
  while needs_reload; do
    if refusal "$began" >&2 || [ "$(uptime_s)" -ge "$end" ]; then return 1; fi
    sleep "$RELOAD_POLL_S"
  done
}

# applied SINCE: what the bridge and Asterisk say that they have applied.
applied() {
  local line
  line="$(docker compose logs --no-log-prefix --since "$1" bridge 2>/dev/null | grep '"configuration reloaded"' | tail -n 1)"
  echo "bridge: $(sed -n 's/.*"applied":\[\([^]]*\)\].*/\1/p' <<<"$line" | tr -d '"' | sed 's/,/, /g; s/^$/nothing/')"
  echo "Asterisk: $(sed -n 's/.*"asterisk":"\([^"]*\)".*/\1/p' <<<"$line" | sed 's/^applied: //')"
}

# refusal SINCE: why the bridge has refused a reload since then; fails where it has not.
refusal() {
  docker compose logs --no-log-prefix --since "$1" bridge 2>/dev/null |
    sed -n '/"reload refused/s/.*"error":"\(.*\)","msg".*/\1/p' | sed 's/\\n/\n/g' | grep .
}
