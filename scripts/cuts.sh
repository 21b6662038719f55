# shellcheck shell=bash
# Sourced in the directory of the stack: which services a start would stop, which calls that would
# cut, and how to wait for them. Needs progress.sh, settings.sh and ports.sh.

ANSWER_S=5         # a service that says nothing within this time does not answer
DRAIN_POLL_S=2
DRAIN_REPORT_S=10
GATE_S=20          # how long the gate stays closed after close_gate
HURRY_S=0.3        # between the two signals that end all calls at once
END_S=30           # then the bridge has ended within this time
NOTICE_S=3         # an old bridge has noticed within this time that the new one has ended
STOP_SLACK_S=20    # beyond the bridge's own limits of a stop
cuts_now=""        # whether calls in progress are to be cut

# running_id SERVICE: the id of its container; nothing where it does not run. Of two bridges it is
# the new one.
running_id() { docker compose ps --quiet --status running "$1" 2>/dev/null | newest_first | head -n 1; }

# newest_first: sorts ids of containers by their age. compose numbers them; the host's clock may
# have been set back in between. One of `docker compose run`, as of --check, is none of the service.
newest_first() {
  local ids
  ids="$(cat)"
  if [ "$(wc -l <<<"$ids")" -le 1 ]; then echo "$ids" && return; fi
  # shellcheck disable=SC2086 # several
  docker inspect --format '{{index .Config.Labels "com.docker.compose.oneoff"}} {{index .Config.Labels "com.docker.compose.container-number"}} {{.Id}}' $ids |
    grep -v '^True ' | sort -k2 -rn | cut -d' ' -f3
}

# bridge_containers FLAG...: those of the bridge, the newest first.
bridge_containers() { docker compose ps --quiet "$@" bridge 2>/dev/null | newest_first | grep . || true; }

# signal_in ID SIGNAL: to the bridge in a container. After `docker kill`, with whatever signal,
# Docker starts the container neither when it dies nor when the host starts.
signal_in() { docker exec "$1" bash -c 'kill -s "$0" 1' "$2" >/dev/null 2>&1; }

# inside ID PATH: what the bridge in a container answers itself, on its private port.
# shellcheck disable=SC2016 # the inner shell expands
inside() {
  local get='printf "GET %s HTTP/1.0\r\n\r\n" "$0" >&3 && sed "1,/^\r*$/d" <&3'
  timeout "$ANSWER_S" docker exec "$1" bash -c 'read -r port </run/pipecat-bridge/port && exec 3<>"/dev/tcp/127.0.0.1/$port" && '"$get" "$2" </dev/null 2>/dev/null
}

# of_running SERVICE NAME DEFAULT: what NAME is in the environment of its running container. .env
# may say something else by now.
of_running() {
  local value
  value="$(docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$(running_id "$1")" | sed -n "s/^$2=//p" | tail -n 1)"
  printf '%s' "${value:-$3}"
}

# bridge_get PATH: what the running bridge answers.
bridge_get() { http_get "$(of_running bridge HTTP_ADDRESS 127.0.0.1)" "$(of_running bridge HTTP_PORT 8090)" "$1"; }

asterisk_cli() { timeout "$ANSWER_S" docker compose exec --no-TTY asterisk asterisk -rx "$1" </dev/null 2>/dev/null; }

# running_digest SERVICE [KIND]: of the configuration that it runs with; nothing where it does not
# tell. KIND `restart` [default] is of what needs a restart, `configuration` of all. --check tells
# those of the files.
running_digest() {
  local kind="${2:-restart}" file="restart-digest"
  if [ "$kind" = configuration ]; then file="digest"; fi
  case "$1" in
    asterisk) timeout "$ANSWER_S" docker compose exec --no-TTY asterisk cat "/run/asterisk/etc/$file" </dev/null 2>/dev/null || true ;;
    bridge) bridge_get /livez | sed -n "s/.*\"$kind\":\"\([0-9a-f]*\)\".*/\1/p" || true ;;
  esac
}

# reason_to_restart SERVICE DIGEST: why a start stops the running container; nothing where it stays.
# DIGEST is that of the files.
reason_to_restart() {
  local id running
  id="$(running_id "$1")"
  [ -n "$id" ] || return 0
  if [ "$(docker inspect --format '{{.Image}}' "$id")" != "$(docker image inspect --format '{{.Id}}' "$(image "$1")" 2>/dev/null)" ]; then
    echo "its image is another one"
  elif [ "$(docker inspect --format '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$id")" != "$(docker compose config --hash "$1" | cut -d' ' -f2)" ]; then
    echo "settings in .env or compose.yaml have changed"
  else
    running="$(running_digest "$1")"
    [ -z "$running" ] || [ "$running" = "$2" ] || echo "what its providers' files or secrets say has changed"
  fi
}

# live_calls SERVICE: how many calls end when it stops; `?` where it does not answer. Asterisk
# counts its SIP channels.
live_calls() {
  local channels count
  [ -n "$(running_id "$1")" ] || { echo 0 && return; }
  case "$1" in
    asterisk) if channels="$(asterisk_cli 'core show channels concise')"; then grep -c '^PJSIP/' <<<"$channels" || true; else echo '?'; fi ;;
    bridge)
      count="$(bridge_get /metrics | sed -n 's/^[a-z_]*calls_active \([0-9]*\)$/\1/p' || true)"
      echo "${count:-?}"
      ;;
  esac
}

# calls_cut SERVICE...: how many calls end when all of these stop.
calls_cut() {
  local service="bridge"
  case " $* " in *' asterisk '*) service="asterisk" ;; esac
  live_calls "$service"
}

# drain SECONDS SERVICE...: turns new calls away and waits until the services have none. Fails when
# there are some after the time.
drain() {
  local limit="$1" began now calls said=""
  shift
  began="$(uptime_s)"
  on_interrupt open_gate
  while close_gate && calls="$(calls_cut "$@")" && [ "$calls" != 0 ]; do
    now="$(uptime_s)"
    if [ $((now - began)) -ge "$limit" ]; then
      on_interrupt
      return 1
    fi
    if [ -z "$said" ] || [ $((now - said)) -ge "$DRAIN_REPORT_S" ]; then
      step "  $calls call(s) go on; waiting at most $((limit - now + began)) s more …"
      said="$now"
    fi
    sleep "$DRAIN_POLL_S"
  done
  on_interrupt
}

# While the gate is closed Asterisk answers INVITE and OPTIONS with 503 and Retry-After, as while
# the bridge stops: the provider tries another way. It is closed up to a time, so it opens by itself
# if this script dies. The bridge closes it: it refuses orders too, and /readyz says why. Where it
# does not answer, this script does. One that shows no digest at /livez is of a version that the
# signal would end.
close_gate() {
  if [ -z "$(running_digest bridge)" ] || ! signal_in "$(running_id bridge)" USR2; then
    set_gate "\"$(($(date +%s) + GATE_S)) stopping\""
  fi
}
open_gate() { [ -n "$(running_digest bridge)" ] || set_gate '""'; }
set_gate() { asterisk_cli "dialplan set global PIPECAT_GATE_$(of_running asterisk ARI_APP pipecat) $1" >/dev/null || true; }

# stop_bridge: the bridge ends its calls itself, so it stops before Asterisk, and the records say
# who ended them. It lets calls go on for STOP_DRAIN_S; a second SIGTERM ends them at once. An old
# one beside it stops when the new one has ended, so it may take as long again.
stop_bridge() {
  local id ids limit
  ids="$(bridge_containers --status running)"
  [ -n "$ids" ] || return 0
  limit=$((2 * $(setting STOP_DRAIN_S 60) + 4 * $(setting SHUTDOWN_MS 10000) / 1000 + STOP_SLACK_S))
  if [ -n "$cuts_now" ]; then
    for id in $ids; do
      end_now "$id"
      # An old bridge beside it sees by then that nobody has its calls.
      if [ "$(wc -l <<<"$ids")" -gt 1 ]; then sleep "$NOTICE_S"; fi
    done
  fi
  docker compose stop --timeout "$limit" bridge
}

# end_now ID: the calls of the bridge in this container end. It may have ended by itself by now.
end_now() {
  docker kill --signal SIGTERM "$1" || return 0
  sleep "$HURRY_S"
  docker kill --signal SIGTERM "$1" || return 0
  timeout "$END_S" docker wait "$1" || true
}

# ask_how: drain, now or leave, as the person at the terminal says.
ask_how() {
  local answer=""
  read -r -p "       wait until they have ended (d), cut them now (n), or leave everything as it is (Enter)? " answer </dev/tty >/dev/tty 2>&1 || true
  case "$answer" in
    d | D) echo drain ;;
    n | N) echo now ;;
    *) echo leave ;;
  esac
}

on_terminal() { [ -t 0 ] && [ -t 1 ]; }

# agree_to_cut HOW SERVICE...: returns when nothing stands in the way of stopping these; else ends
# the script, with nothing changed. HOW is drain, now, drain-then-now, or empty: then the person at
# the terminal is asked.
agree_to_cut() {
  local how="$1" calls limit
  shift
  calls="$(calls_cut "$@")"
  [ "$calls" != 0 ] || return 0
  if [ "$calls" = '?' ]; then
    step "  how many calls that cuts is not known: $* does not answer"
  else step "  that would cut $calls call(s)"; fi
  if [ -z "$how" ] && on_terminal; then how="$(ask_how)"; fi
  case "$how" in
    now)
      step "  cutting them"
      cuts_now=yes
      ;;
    drain*)
      limit="${DRAIN_S:-$(setting DRAIN_S 1800)}"
      step "  new calls are turned away; waiting for those in progress, at most $limit s …"
      drain "$limit" "$@" && return
      if [ "$how" = drain-then-now ]; then
        step "  cutting those that are left"
        cuts_now=yes
        return
      fi
      open_gate
      fail "calls are still in progress after $limit s; nothing was stopped, new calls are taken again within 10 s" "make up DRAIN=1 once more, or make up NOW=1"
      ;;
    *) fail "calls are in progress; nothing was stopped" "to wait until they end, DRAIN_S seconds at most: make up DRAIN=1 (./install.sh --drain)" "to cut them: make up NOW=1 (./install.sh --now)" ;;
  esac
}
