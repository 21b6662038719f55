# shellcheck shell=bash
# Sourced in the directory of the stack: applies a change of settings, providers and secrets while
# the services run. Needs progress.sh, settings.sh, ports.sh and cuts.sh, and the arrays `digests`
# and `configurations` (service -> digest of what needs a restart, and of all, in its files).
# shellcheck disable=SC2034

RELOAD_S=60        # from the order to the answer: twice as long as the bridge waits for Asterisk
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
  local said
  needs_reload || return 0
  if ! said="$(reload_stack)"; then
    echo "$said" >&2
    restore_settings "$(running_id bridge)"
    fail "the reload was refused; what runs goes on as it was" "put right what stands above, then: make ${1:-reload}"
  fi
  step "applied without a restart; calls in progress go on with what they began with"
  # shellcheck disable=SC2001 # of each line
  sed 's/^/       /' <<<"$said"
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

# reload_stack: has each bridge that runs apply its files, and waits for what it says. It has
# Asterisk apply the providers' first. Prints the words of the new one, and fails where that one
# refuses, or where bridge or Asterisk do not run with their files then.
reload_stack() {
  local id end said newest service
  local -A before=()
  local told=() ids=()
  mapfile -t ids < <(bridge_containers --status running)
  newest="${ids[0]:-}"
  [ -n "$newest" ] || { echo "the bridge does not run" && return 1; }
  for service in bridge asterisk; do
    [ -z "$(running_digest "$service" configuration)" ] || told+=("$service")
  done
  for id in "${ids[@]}"; do before[$id]="$(reload_report "$id" | asked_in)"; done
  for id in "${ids[@]}"; do signal_in "$id" HUP || true; done
  end=$(($(uptime_s) + RELOAD_S))
  said="$(answer_of "$newest" "${before[$newest]}" "$end")" || { echo "$said" && return 1; }
  echo "$said"
  for service in "${told[@]}"; do
    until is_applied "$service"; do
      [ "$(uptime_s)" -lt "$end" ] || { echo "$service does not run with what its files say" && return 1; }
      sleep "$RELOAD_POLL_S"
    done
  done
  for id in "${ids[@]:1}"; do
    if said="$(answer_of "$id" "${before[$id]}" "$end")"; then continue; fi
    # It may have ended with its calls.
    if bridge_containers --status running | grep -qx "$id"; then echo "note: an old bridge goes on as it was: $(head -n 1 <<<"$said")"; fi
  done
}

# reload_report ID: what the bridge in this container says of its reloads: `asked N done N VERDICT`,
# and the text for the operator. Nothing from one whose version has no such file.
# shellcheck disable=SC2016 # the inner shell expands
reload_report() { timeout "$ANSWER_S" docker exec "$1" bash -c 'echo "$(</run/pipecat-bridge/reload)"' </dev/null 2>/dev/null || true; }
asked_in() { sed -n '1s/^asked \([0-9]*\) .*/\1/p'; }

# answer_of ID BEFORE END: prints the answer to an order, where BEFORE had been asked for before it;
# fails where it is refused, or has not come by END.
answer_of() {
  local report asked answered verdict
  [ -n "$2" ] || { echo "the bridge is of a version that does not say what became of a reload" && return 1; }
  while :; do
    report="$(reload_report "$1")"
    [ -n "$report" ] || bridge_containers --status running | grep -qx "$1" || { echo "the bridge has ended" && return 1; }
    read -r _ asked _ answered verdict <<<"$report" || true
    # A reload that was under way has read other files.
    if [ "${asked:-0}" -gt "$2" ] && [ "$answered" = "$asked" ]; then break; fi
    [ "$(uptime_s)" -lt "$3" ] || { echo "the bridge did not say within $RELOAD_S s what became of it" && return 1; }
    sleep "$RELOAD_POLL_S"
  done
  sed 1d <<<"$report"
  [ "$verdict" = applied ]
}

# is_applied SERVICE: whether it runs with what its files say. What needs a restart does not count.
is_applied() {
  local running
  running="$(running_digest "$1" configuration)"
  [ -n "$running" ] || return 1
  [ "$running" = "${configurations[$1]}" ] || [ "$(running_digest "$1")" != "${digests[$1]}" ]
}

# Until the settings that were stored last have been seen to apply, those that applied before are in
# a copy, SETTINGS_FILE.before.
# restore_settings ID, keep_settings ID: puts the copy back; removes it. ID is a container of a
# bridge, of whatever version.
# shellcheck disable=SC2016 # the inner shell expands
restore_settings() { in_bridge "$1" '[ ! -e "$SETTINGS_FILE.before" ] || mv "$SETTINGS_FILE.before" "$SETTINGS_FILE"'; }
# shellcheck disable=SC2016 # the inner shell expands
keep_settings() { in_bridge "$1" 'rm -f "$SETTINGS_FILE.before"'; }
in_bridge() { docker exec "$1" bash -c "$2" </dev/null >/dev/null 2>&1 || true; }
