# shellcheck shell=bash
# Sourced in the directory of the stack: a new process of the bridge beside the one that runs. It
# takes the new calls; the calls in progress stay where they are (docs/RESTARTS.md). Needs
# progress.sh, settings.sh, ports.sh and cuts.sh.

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
# was, when the new one does not take the calls.
roll_out() {
  local old new="" count
  count="$(bridge_containers --status running | wc -l)"
  old="$(running_id bridge)"
  trap 'take_back "$old"; exit 130' INT TERM
  # Not --no-deps: compose would see another service in it later, and start it anew.
  if ! write_count $((count + 1)) || ! docker compose up --detach --no-build --no-recreate bridge; then
    take_back "$old" || true
    return 1
  fi
  new="$(running_id bridge)"
  if [ "$new" = "$old" ] || ! wait_until_serving "$new"; then
    take_back "$old" || true
    return 1
  fi
  trap '' INT TERM
  let_end "$old"
  trap - INT TERM
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

# let_end ID: the bridge in this container ends when its calls have, and is not started again.
let_end() {
  docker update --restart no "$1" >/dev/null
  signal_in "$1" QUIT
  tidy_later "$1"
}

# tidy_later ID: removes the container when it has ended, long after this script.
tidy_later() {
  setsid bash -c 'docker wait "$1"; exec scripts/tidy.sh' - "$1" </dev/null >/dev/null 2>&1 9<&- &
  disown
}

# take_back OLD: removes newer bridges than this one. One that has the calls gives them back.
take_back() {
  local id
  trap - INT TERM
  for id in $(bridge_containers --all); do
    [ "$id" != "$1" ] || break
    docker logs --tail 15 "$id" >.logs/new-bridge.log 2>&1 || true
    docker stop --time "$ROLLOUT_S" "$id" >/dev/null || true
    docker rm --force "$id" >/dev/null || true
  done
  write_count "$(bridge_containers --status running | wc -l)"
}
