# shellcheck shell=bash
# Sourced: who holds a port of this host, from /proc alone.

# The address as /proc/net writes it: 127.0.0.1 is 0100007F.
kernel_address() {
  local a b c d
  IFS=. read -r a b c d <<<"$1"
  printf '%02X%02X%02X%02X' "$d" "$c" "$b" "$a"
}

# socket_inodes PROTOCOL ADDRESS PORT: inodes of the sockets that prevent listening there.
socket_inodes() {
  local tables=(/proc/net/"$1")
  if [ -r "/proc/net/${1}6" ]; then tables+=("/proc/net/${1}6"); fi
  awk -v protocol="$1" -v address="$(kernel_address "$2")" -v port="$(printf '%04X' "$3")" '
    FNR > 1 && (protocol == "udp" || $4 == "0A") {
      split($2, local, ":")
      if (local[2] == port && (local[1] == address || local[1] ~ /^0+$/ || address ~ /^0+$/ )) print $10
    }' "${tables[@]}"
}

# port_holder PROTOCOL ADDRESS PORT: "pid 123 (name)" of each process that has the port; nothing if
# it is free.
port_holder() {
  local inode link pid
  for inode in $(socket_inodes "$1" "$2" "$3"); do
    link="$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -print -quit 2>/dev/null)"
    pid="$(cut -d/ -f3 <<<"$link")"
    if [ -n "$pid" ]; then echo "pid $pid ($(basename "$(readlink "/proc/$pid/exe" || cat "/proc/$pid/comm")"))"; else echo "a process of another user"; fi
  done | sort -u | paste -s -d, -
}

# url_endpoint URL: host and port of a ws, wss, http or https URL.
url_endpoint() {
  local rest="${1#*://}" port=80
  case "$1" in wss:* | https:*) port=443 ;; esac
  rest="${rest%%/*}" && rest="${rest%%\?*}" && rest="${rest##*@}"
  case "$rest" in *:*) port="${rest##*:}" ;; esac
  echo "${rest%:*} $port"
}

# tcp_answers HOST PORT: whether somebody listens there.
# shellcheck disable=SC2016 # the inner shell expands
tcp_answers() { timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2"' - "$1" "$2" 2>/dev/null; }

# http_get ADDRESS PORT PATH: the body; fails when nobody answers within 3 s.
http_get() {
  # shellcheck disable=SC2016 # the inner shell expands
  timeout 3 bash -c 'exec 3<>"/dev/tcp/$1/$2" && printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$3" "$1" >&3 && sed "1,/^\r*$/d" <&3' - "$@" 2>/dev/null
}

# The listeners of the running containers, as they were told at their start: a setting changed since
# asks for other ports.
running_listeners() (
  environment="$(docker compose ps --quiet --status running --status paused 2>/dev/null | while read -r id; do
    docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$id"
  done)"
  setting() {
    local value
    [ "$1" != COMPOSE_PROFILES ] || { printf lab && return; }
    value="$(sed -n "s/^$1=//p" <<<"$environment" | tail -n 1)"
    printf '%s' "${value:-${2:-}}"
  }
  listeners
)

# A port that none of our containers has must be free, even if the service runs: it would be stopped
# and could not start again.
require_free_ports() {
  local running own service protocol address port purpose holder
  running="$(docker compose ps --services --status running --status paused 2>/dev/null)"
  own="$(running_listeners)"
  while read -r service protocol address port purpose; do
    if grep -qx "$service" <<<"$running" && has_port "$protocol" "$port" <<<"$own"; then continue; fi
    holder="$(port_holder "$protocol" "$address" "$port")"
    [ -z "$holder" ] || fail "$protocol port $address:$port ($purpose) is taken by $holder" \
      "end that process, or choose another port in .env, then: make up"
  done < <(listeners)
}
