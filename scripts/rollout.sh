# shellcheck shell=bash
# Sourced in the directory of the stack: a new process of the bridge beside the one that runs. It
# takes the new calls; the calls in progress stay where they are (docs/RESTARTS.md). Needs
# progress.sh, settings.sh, ports.sh, cuts.sh and reloads.sh.

ROLLOUT_S=60       # a new bridge is healthy and has the calls within this time
ROLLOUT_POLL_S=0.3

# write_count COUNT: how many containers of the bridge compose keeps. It would remove one too many,
# and might take the one that has the calls.
write_count() {
  local count="$1"
  if [ "$count" -le 1 ]; then count=""; fi
  [ -f .env ] && [ "$(setting BRIDGE_CONTAINERS)" != "$count" ] || return 0
  put_setting BRIDGE_CONTAINERS "$count"
}

# tidy_bridges: removes old bridges that have ended.
tidy_bridges() {
  local id running
  running="$(bridge_containers --status running)"
  if [ -z "$running" ]; then
    write_count 1
    return
  fi
  for id in $(bridge_containers --all); do
    grep -qx "$id" <<<"$running" || case "$(docker inspect --format '{{.State.Status}}' "$id")" in
      # compose, interrupted, leaves one that was never started.
      exited | created) docker rm "$id" >/dev/null || true ;;
    esac
  done
  write_count "$(wc -l <<<"$running")"
}

# has_calls_app ID: whether the bridge in this container has the new calls: it is ready, or only its
# limits keep it from taking one.
has_calls_app() {
  local problems
  problems="$(inside "$1" /readyz | sed -n 's/.*"problems":\[\([^]]*\)\].*/[\1]/p' || true)"
  grep -qE '^\[("(MAX_CALLS is reached|the bridge is overloaded)",?)*\]$' <<<"$problems"
}

# can_roll_out APP: whether the running bridge hands its calls to a new one. APP is the Stasis app
# of the files, as a new bridge tells it (--check). One of an older version tells none.
can_roll_out() {
  [ -n "$1" ] && [ "$(bridge_get /livez | sed -n 's/.*"app":"\([0-9a-f]*\)".*/\1/p' || true)" = "$1" ] &&
    asterisk_cli 'core show version' >/dev/null
}

# roll_out: starts a new bridge and lets the old one end by itself. Fails, with the old one as it
# was, when the new one does not take the calls. File descriptor 8 is the terminal.
roll_out() {
  local old new="" count id
  # One that Docker starts again and again has no calls, and compose would count it.
  for id in $(bridge_containers --status restarting); do docker rm --force "$id" >/dev/null || true; done
  count="$(bridge_containers --status running | wc -l)"
  old="$(running_id bridge)"
  # Goes on where this script is killed.
  tidy_later
  on_interrupt 'take_back "$old"'
  # Not --no-deps: compose would see another service in it later, and start it anew.
  if ! write_count $((count + 1)) || ! docker compose up --detach --no-build --no-recreate bridge; then
    take_back "$old"
    return 1
  fi
  new="$(running_id bridge)"
  if [ "$new" = "$old" ] || ! wait_until_serving "$new"; then
    take_back "$old"
    return 1
  fi
  trap '' INT TERM HUP
  # From here on something has changed.
  unset UNCHANGED_STATUS
  let_others_end "$new"
  on_interrupt
}

# wait_until_serving ID: until the bridge in this container has the new calls.
wait_until_serving() {
  local end=$(($(uptime_s) + ROLLOUT_S))
  until has_calls_app "$1"; do
    [ "$(docker inspect --format '{{.State.Status}} {{.RestartCount}}' "$1" 2>/dev/null)" = "running 0" ] || return 1
    [ "$(uptime_s)" -lt "$end" ] || return 1
    sleep "$ROLLOUT_POLL_S"
  done
}

# settle_bridges: of several bridges the newest has to have the new calls; the others end. Where the
# script of a rollout was killed, nobody has told an old one so: when it has let its calls go,
# Docker starts it again, and it takes the new calls from the new one. Fails when the newest bridge
# does not take the calls.
settle_bridges() {
  local newest
  [ "$(bridge_containers --status running | wc -l)" -gt 1 ] || return 0
  # Without Asterisk none has them.
  asterisk_cli 'core show version' >/dev/null || return 0
  newest="$(running_id bridge)"
  wait_until_serving "$newest" || return 1
  let_others_end "$newest"
}

# let_others_end ID: every bridge but the one in this container ends.
let_others_end() {
  local id
  for id in $(bridge_containers --status running); do
    # One that is not started again has been told.
    [ "$id" != "$1" ] && [ "$(docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' "$id")" != no ] || continue
    keep_settings "$1"
    let_end "$id"
  done
}

# let_end ID: the bridge in this container ends when its calls have, and is not started again.
let_end() {
  # Otherwise Docker would start it again. settle_bridges tries once more.
  docker update --restart no "$1" >/dev/null || return 0
  signal_in "$1" QUIT || true
  tidy_later "$1"
}

# tidy_later [ID]: runs tidy.sh when the container has ended, long after this script. Without ID as
# soon as this script has ended: tidy.sh waits for its lock.
tidy_later() {
  setsid bash -c '[ $# = 0 ] || docker wait "$1"; exec scripts/tidy.sh' - "$@" </dev/null >/dev/null 2>&1 8>&- 9<&- &
  disown
}

# take_back OLD: removes newer bridges than this one. One that has the calls gives them back. The
# settings are those of before, for when OLD is started again.
take_back() {
  local id
  trap '' INT TERM HUP
  # The terminal may be gone.
  { step "removing the new bridge; that takes up to $ROLLOUT_S s …" >&8; } 2>/dev/null || true
  for id in $(bridge_containers --all); do
    [ "$id" != "$1" ] || break
    docker logs --tail 15 "$id" >.logs/new-bridge.log 2>&1 || true
    docker stop --time "$ROLLOUT_S" "$id" >/dev/null || true
    docker rm --force "$id" >/dev/null || true
  done
  restore_settings "$1"
  write_count "$(bridge_containers --status running | wc -l)" || true
  on_interrupt
}
