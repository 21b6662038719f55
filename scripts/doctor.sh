#!/usr/bin/env bash
# Checks host, settings and stack. For each fault it says what to do. Changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/settings.sh
. scripts/ports.sh
. scripts/cuts.sh

MINIMUM_FREE_GB=4
# What the bridge asks for, and newer kernels allow by default.
RECEIVE_BUFFER_BYTES=4194304
problems=0

ok() { printf '  ok  %s\n' "$1"; }
bad() {
  printf '  !!  %s\n      -> %s\n' "$1" "$2"
  problems=$((problems + 1))
}
note() { printf '  --  %s\n' "$1"; }

check_host() {
  echo "Host"
  local engine free root
  if ! engine="$(docker info --format '{{.ServerVersion}} {{.DockerRootDir}}' 2>/dev/null)"; then
    bad "no Docker engine answers" "make up starts it; or: systemctl start docker, and may $(id -un) use it?"
    return 1
  fi
  read -r engine root <<<"$engine"
  ok "Docker engine $engine"
  if docker compose version >/dev/null 2>&1; then ok "compose $(docker compose version --short)"; else bad "no compose v2" "make up installs it"; fi
  if docker buildx version >/dev/null 2>&1; then ok "buildx"; else bad "no buildx" "make up installs it"; fi
  free="$(df --output=avail --block-size=1G "$root" 2>/dev/null | tail -n 1 | tr -d ' ')"
  if [ "${free:-$MINIMUM_FREE_GB}" -ge "$MINIMUM_FREE_GB" ]; then ok "${free:-?} GB free in $root"; else
    bad "only $free GB free in $root" "docker system prune, or a larger disk"
  fi
  check_receive_buffers
}

# Small ones mean more sockets, and some more CPU a call.
check_receive_buffers() {
  local bytes
  bytes="$(cat /proc/sys/net/core/rmem_max 2>/dev/null || true)"
  if [ "${bytes:-$RECEIVE_BUFFER_BYTES}" -ge "$RECEIVE_BUFFER_BYTES" ]; then ok "UDP receive buffers of ${bytes:-?} bytes"; else
    note "UDP receive buffers are limited to $bytes bytes, a call costs some more CPU: sysctl -w net.core.rmem_max=$RECEIVE_BUFFER_BYTES (and in /etc/sysctl.d)"
  fi
}

check_settings() {
  echo "Settings"
  if [ ! -f .env ]; then
    bad "no .env" "make up writes it"
    return
  fi
  local name missing unknown
  missing="$(comm -13 <(setting_names .env | sort) <(setting_names .env.example | sort) | xargs)"
  unknown="$(unknown_settings | xargs)"
  if [ "$(stat -c %a .env)" = 600 ]; then ok ".env is readable by you only"; else bad ".env is readable by others" "chmod 600 .env"; fi
  [ -z "$missing" ] || note ".env lacks, defaults apply: $missing"
  [ -z "$unknown" ] || bad ".env sets names that nothing reads: $unknown" "compare with .env.example: a typing error?"
  for name in ARI_PASSWORD API_TOKEN CALLBACK_SECRET; do
    [ -n "$(setting "$name")$(setting "${name}_FILE")" ] || bad ".env sets no $name" "give it a random value"
  done
  check_profiles
  check_stop_time
  check_addresses
  check_open_ports
  check_providers
}

# A profile that compose.yaml has not turns nothing on, and its mistyped name turns the mock off.
check_profiles() {
  local unknown
  unknown="$(unknown_profiles | xargs)"
  [ -z "$unknown" ] || bad "COMPOSE_PROFILES names what compose.yaml has not: $unknown" "lab (the mock bot), or nothing"
}

# Docker kills a bridge that has not ended by then.
check_stop_time() {
  local stop_drain_s drain_s shutdown_s grace
  stop_drain_s="$(setting STOP_DRAIN_S 60)"
  drain_s="$(setting DRAIN_S 1800)"
  shutdown_s=$((2 * ($(setting SHUTDOWN_MS 10000) + 999) / 1000))
  grace="$({ docker compose config 2>/dev/null || true; } | sed -n '/^  bridge:/,/^  [a-z]/s/^    stop_grace_period: //p')"
  [ -n "$grace" ] || return 0
  [ "$((stop_drain_s + shutdown_s))" -lt "$(seconds_of "$grace")" ] ||
    bad "STOP_DRAIN_S is $stop_drain_s: Docker kills the bridge $grace after SIGTERM, in the middle of calls" \
      "lower it, or set a longer stop_grace_period of bridge in compose.override.yaml"
  [ "$drain_s" -lt "$(seconds_of "$grace")" ] ||
    bad "DRAIN_S is $drain_s: Docker kills an old bridge $grace after SIGTERM, with its calls" \
      "lower it, or set a longer stop_grace_period of bridge in compose.override.yaml"
}

# seconds_of 1m30s: 90, as compose writes a time.
seconds_of() {
  local hours=0 minutes=0 seconds=0
  [[ $1 =~ ^(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)(\.[0-9]+)?s)?$ ]] || { echo 0 && return; }
  hours="${BASH_REMATCH[2]:-0}" minutes="${BASH_REMATCH[4]:-0}" seconds="${BASH_REMATCH[6]:-0}"
  echo $((hours * 3600 + minutes * 60 + seconds))
}

# Addresses that cannot work, or that leave the stack deaf.
check_addresses() {
  local sip
  sip="$(setting SIP_ADDRESS 127.0.0.1)"
  case "$sip" in
    127.*) note "SIP listens on $sip: no provider elsewhere can reach it (SIP_ADDRESS)" ;;
    0.0.0.0) ok "SIP listens on all addresses" ;;
    *) if grep -qF " $sip/" <(ip -4 -oneline address 2>/dev/null); then ok "SIP listens on $sip"; else
      bad "SIP_ADDRESS $sip is no address of this host" "set it to one of: $(hostname -I)"
    fi ;;
  esac
  case "$sip $(setting EXTERNAL_ADDRESS)" in
    10.*' ' | 192.168.*' ' | 172.1[6-9].*' ' | 172.2[0-9].*' ' | 172.3[01].*' ')
      bad "SIP listens on a private address and EXTERNAL_ADDRESS is empty: calls from the internet would have no sound" \
        "set EXTERNAL_ADDRESS to the public address"
      ;;
  esac
}

# Addresses that must be this host's own: who reaches ARI controls all calls, and its audio by
# WebSocket has no password.
check_open_ports() {
  local name
  for name in ARI_ADDRESS HTTP_ADDRESS; do
    case "$(setting "$name" 127.0.0.1)" in
      127.*) ;;
      *) bad "$name is $(setting "$name"): other hosts can reach it" "127.0.0.1, or a firewall: docs/FIREWALL.md" ;;
    esac
  done
  case "$(setting SIP_ADDRESS 127.0.0.1)" in
    127.*) ;;
    *) if grep -qs '^NAT=yes' asterisk/providers/*.env; then
      note "a provider has NAT=yes: strangers who send RTP first are heard in calls, unless a firewall closes the RTP ports to them (docs/FIREWALL.md)"
    fi ;;
  esac
}

check_providers() {
  local file count=0
  for file in asterisk/providers/*.env; do
    [ -e "$file" ] || continue
    count=$((count + 1))
    case "$(stat -c %a "$file")" in
      *[4567]) ;;
      *) bad "$file cannot be read by the containers' users" "chmod 644 $file (secrets belong in secrets/asterisk/ and secrets/bridge/)" ;;
    esac
  done
  if [ "$count" -gt 0 ]; then ok "$count provider(s) in asterisk/providers/"; else bad "no provider" "asterisk/providers/README.md says how to write one"; fi
}

check_ports() {
  echo "Ports"
  local running service protocol address port purpose holder
  running=""
  if [ -z "$(stack_owner)" ]; then running="$(docker compose ps --services --status running --status paused 2>/dev/null)"; fi
  while read -r service protocol address port purpose; do
    holder="$(port_holder "$protocol" "$address" "$port")"
    if grep -qx "$service" <<<"$running"; then
      if [ -n "$holder" ]; then ok "$address:$port $protocol ($purpose): $holder"; else
        bad "$address:$port $protocol ($purpose): $service runs but does not listen" "make logs"
      fi
    elif [ -n "$holder" ]; then
      bad "$address:$port $protocol ($purpose) is taken by $holder" "end that process, or choose another port in .env"
    else
      ok "$address:$port $protocol ($purpose): free"
    fi
  done < <(listeners)
}

# last_words SERVICE: the last line of its log.
last_words() { docker compose --ansi never logs --no-log-prefix --tail 1 "$1" 2>&1 | plain | cut -c -160; }

check_stack() {
  echo "Stack"
  local service status owner any=""
  owner="$(stack_owner)"
  if [ -n "$owner" ] && is_stack_mixed; then
    bad "the stack named $(stack_name) is of this directory in part, in part of $owner" "make down ALL=1, then: make up"
    return
  elif [ -n "$owner" ]; then
    bad "the stack named $(stack_name) is not of this directory, but of $owner" \
      "make -C $owner doctor; or, to have one here too: another COMPOSE_PROJECT_NAME, and ports of its own, in .env"
    return
  fi
  while read -r service status; do
    any=yes
    case "$service $status" in
      'bridge Exited (0)'*) if [ -n "$(running_id bridge)" ]; then
        note "an old bridge has ended: $status; make up removes it"
        continue
      fi ;;
    esac
    case "$status" in
      *'(healthy)'*) ok "$service: $status" ;;
      *'(Paused)'*) bad "$service: $status" "docker compose unpause $service" ;;
      'Exited '*) bad "$service: $status" "make up; its last words: $(last_words "$service")" ;;
      *) bad "$service: $status" "its last words: $(last_words "$service")" ;;
    esac
  done < <(docker compose ps --all --format '{{.Service}} {{.Status}}' 2>/dev/null)
  if [ -z "$any" ]; then
    note "nothing runs: make up"
    return
  fi
  check_old_bridges
  check_readiness
  check_registrations
  check_bot
}

# Bridges beside the new one, and whether Docker would start what runs again.
check_old_bridges() {
  local id count=0 readiness
  for id in $(bridge_containers --status running); do
    count=$((count + 1))
    if [ "$count" = 1 ]; then
      [ "$(docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' "$id")" != no ] ||
        bad "the bridge is not started again when it dies, or when the host starts: it was to end, but got the calls back" "make up"
      continue
    fi
    readiness="$(inside "$id" /readyz || true)"
    if [ "$(docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' "$id")" != no ]; then
      bad "an old bridge, $(docker inspect --format '{{slice .Name 1}}' "$id"), has not been told to end: make up is at work, or was killed" "make up"
    elif grep -q 'a new process takes the new calls' <<<"$readiness"; then
      note "an old bridge, $(docker inspect --format '{{slice .Name 1}}' "$id"), keeps its calls until they end, DRAIN_S at most"
    else
      note "an old bridge, $(docker inspect --format '{{slice .Name 1}}' "$id"), runs beside the new one: $readiness"
    fi
  done
}

# readyz_warnings ANSWER: its warnings, a line each.
readyz_warnings() { sed -nE 's/.*"warnings":\["(.*)"\].*/\1/p' <<<"$1" | sed 's/","/\n/g; s/\\"/"/g'; }

check_readiness() {
  local answer warning
  if ! answer="$(http_get "$(setting HTTP_ADDRESS 127.0.0.1)" "$(setting HTTP_PORT 8090)" /readyz)"; then
    bad "the bridge's HTTP port does not answer" "docker compose logs bridge"
  elif grep -q '"ready"' <<<"$answer"; then
    ok "the bridge is ready: ARI answers"
    while IFS= read -r warning; do bad "$warning" "it takes calls all the same; docs/FAULTS.md, 'Warnings', says what to do"; done < <(readyz_warnings "$answer")
  else
    bad "the bridge is not ready: $answer" "docs/FAULTS.md, 'Not ready', says what to do for each problem"
  fi
}

# Whether the registrars of the providers have taken us: their calls do not come in otherwise.
check_registrations() {
  local name status host
  while read -r name status; do
    host="$(sed -n 's/^HOST=\([^:]*\).*/\1/p' "asterisk/providers/$name.env" 2>/dev/null || true)"
    if [ "$status" = Registered ]; then ok "$name: registered"
    # Asterisk says Rejected of such a one too.
    elif [ -n "$host" ] && ! getent ahostsv4 "$host" >/dev/null; then
      bad "$name: not registered ($status)" "$host has no address: HOST in asterisk/providers/$name.env, or this host's DNS"
    else
      bad "$name: not registered ($status)" "USERNAME and the password, or HOST, in asterisk/providers/$name.env; make logs says more"
    fi
  done < <(docker compose exec -T asterisk asterisk -rx 'pjsip show registrations' 2>/dev/null </dev/null |
    sed -nE 's#^ *([A-Za-z0-9_-]+)/sips?:.* (Registered|Unregistered|Rejected|Stopped|Stopping|Unregistering)( .*)?$#\1 \2#p')
}

# Whether anybody listens where PIPECAT_URL points.
check_bot() {
  local endpoint
  endpoint="$(url_endpoint "$(bot_url)")"
  # shellcheck disable=SC2086 # host and port
  if tcp_answers $endpoint; then ok "the bot's port answers: ${endpoint/ /:}"; else
    bad "nobody answers at ${endpoint/ /:} (PIPECAT_URL)" "start the bot, or set PIPECAT_URL; until then calls get the fallback"
  fi
}

main() {
  if check_host; then
    check_settings
    check_ports
    check_stack
  fi
  echo
  if [ "$problems" = 0 ]; then echo "All is well."; else
    echo "$problems thing(s) to put right."
    exit 1
  fi
}

main
