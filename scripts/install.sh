#!/usr/bin/env bash
# Installs this bundle, or updates an installation to it, and proves it with a test call.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/progress.sh
. scripts/host-packages.sh
. scripts/lock.sh
. scripts/settings.sh
. scripts/ports.sh

usage() {
  cat <<'END'
Installs the Asterisk-to-Pipecat bridge from this bundle; asks for what no flag says.

  --dir DIR                   where it is installed [/opt/pipecat-bridge]; an installation there is updated
  --provider NAME             your SIP provider: a name of letters, digits, - and _
  --provider-host HOST[:PORT]     where calls to it go
  --provider-match IP[,IP/NET…]   it knows us by our address: the addresses that it calls from
  --provider-username USER        it knows us by an account …
  --provider-password-file FILE   … and this password
  --codecs LIST               ulaw, alaw, g722 in order of preference [ulaw,alaw]
  --sip-address IP            address to listen on for SIP [0.0.0.0 when a provider is given, else 127.0.0.1]
  --external-address IP       public address, where this host is behind NAT
  --pipecat-url URL           your bot: ws:// or wss://
  --with-mock                 also run the mock Pipecat: test calls go to it
  --set NAME=VALUE            any other setting of .env.example; may be repeated
  --drain                     calls that the update would cut: wait until they have ended (DRAIN_S at most)
  --now                       cut them
  --yes                       ask nothing: take the defaults
END
}

directory=/opt/pipecat-bridge
provider="" host="" match="" username="" password_file="" codecs="ulaw,alaw"
sip_address="" external_address="" pipecat_url="" mock="" ask="yes"
how=()           # flags for up.sh
previous=""      # the files of the installation before, until something of it is stopped
settings=()

read_flags() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --with-mock) mock=yes ;;
      --yes) ask="" ;;
      --drain | --now) how+=("$1") ;;
      --help | -h) usage && exit ;;
      --*)
        [ $# -ge 2 ] || fail "$1 needs a value" "./install.sh --help"
        read_value "$1" "$2"
        shift
        ;;
      *) fail "unknown argument: $1" "./install.sh --help" ;;
    esac
    shift
  done
  if [ ! -t 0 ]; then ask=""; fi
}

read_value() {
  case "$1" in
    --dir) directory="$(realpath --canonicalize-missing "$2")" ;;
    --provider) provider="$2" ;;
    --provider-host) host="$2" ;;
    --provider-match) match="$2" ;;
    --provider-username) username="$2" ;;
    --provider-password-file) password_file="$(realpath "$2")" ;;
    --codecs) codecs="$2" ;;
    --sip-address) sip_address="$2" ;;
    --external-address) external_address="$2" ;;
    --pipecat-url) pipecat_url="$2" ;;
    --set) settings+=("$2") ;;
    *) fail "unknown flag: $1" "./install.sh --help" ;;
  esac
}

# answer VARIABLE QUESTION: asks, unless a flag has said it; an empty answer leaves it empty.
answer() {
  local -n variable="$1"
  if [ -n "$ask" ] && [ -z "$variable" ]; then read -r -p "  $2: " variable; fi
}

# A first installation asks; an update keeps what there is.
ask_questions() {
  [ -f "$directory/.env" ] && return
  answer provider "Name of your SIP provider (empty: none yet)"
  if [ -n "$provider" ]; then
    answer host "Its host or host:port, where calls to it go"
    if [ -z "$match$username" ]; then
      answer match "The addresses it calls from, comma-separated (empty: it gave you an account)"
      if [ -z "$match" ]; then answer username "User name of that account"; fi
    fi
    if [ -n "$username" ]; then answer password_file "File that holds its password"; fi
    answer external_address "Public address of this host, if it is behind NAT (empty: it is not)"
  fi
  answer pipecat_url "WebSocket URL of your Pipecat bot (empty: the mock that is in this bundle)"
}

check_answers() {
  if [ -n "$provider" ]; then
    [[ "$provider" =~ ^[A-Za-z0-9_-]{1,40}$ ]] || fail "--provider '$provider' is no name of letters, digits, - and _" "choose another"
    [ -n "$match$username" ] || fail "how does provider $provider know us?" "--provider-match IP[,IP…], or --provider-username and --provider-password-file"
    if [ -n "$username" ]; then
      [ -n "$host" ] || fail "where does provider $provider register us?" "--provider-host HOST[:PORT]"
      [ -r "$password_file" ] || fail "no password for $username" "--provider-password-file FILE, a file that this user can read"
    fi
  fi
  if [ -z "$pipecat_url" ] && [ -z "$(cd "$directory" 2>/dev/null && setting PIPECAT_URL)" ] && [ -z "$mock" ]; then
    step "no Pipecat URL: the mock answers the calls"
    mock=yes
  fi
}

# What an update overwrites. Secrets are only added to.
FILES=(compose.yaml .env .env.example Makefile VERSION ASTERISK_VERSION NOTICE scripts docs bridge e2e asterisk)

keep_previous() {
  local name
  [ -f "$directory/.env" ] || return 0
  previous="$(mktemp -d)"
  for name in "${FILES[@]}" "$directory"/*.md; do
    name="${name##*/}"
    if [ -e "$directory/$name" ]; then cp -a "$directory/$name" "$previous/"; fi
  done
  trap put_back EXIT
}

# An update that stopped nothing leaves the installation as it was.
put_back() {
  local status=$? name
  [ -n "$previous" ] || return
  # In the middle there is neither the old installation nor the new one.
  trap '' INT TERM HUP
  for name in "${FILES[@]}" "$directory"/*.md; do rm -rf "${directory:?}/${name##*/}"; done
  cp -a "$previous/." "$directory/"
  rm -rf "$previous"
  step "the installation in $directory is as it was, and what ran goes on"
  exit "$status"
}

forget_previous() {
  rm -rf "${previous:?}"
  previous=""
}

# Exit status 3 of up.sh: nothing that runs was touched.
start() {
  local status=0
  # up.sh gets the signal too, and its status says what has become of the stack.
  trap : INT TERM HUP
  scripts/up.sh "${how[@]}" || status=$?
  trap - INT TERM HUP
  if [ -n "$previous" ] && [ "$status" != 3 ]; then forget_previous; fi
  [ "$status" = 0 ] || exit "$status"
}

# Asterisk's image is named by what is in it: where it is there already, it is the same.
load_images() {
  docker load --input images.tar
  docker image inspect "pipecat-bridge/asterisk:$(cat ASTERISK_VERSION)" >/dev/null 2>&1 || docker load --input asterisk.tar
}

copy_files() {
  as_root mkdir -p "$directory"
  as_root chown "$(id -u):$(id -g)" "$directory"
  mkdir -p "$directory/asterisk/providers" "$directory/secrets/asterisk" "$directory/scripts"
  cp compose.yaml .env.example Makefile VERSION ASTERISK_VERSION NOTICE ./*.md "$directory/"
  cp scripts/* "$directory/scripts/"
  cp asterisk/providers/README.md "$directory/asterisk/providers/"
  cp -r asterisk/fail2ban "$directory/asterisk/"
  cp -r docs bridge e2e "$directory/"
}

write_settings() {
  local entry first=""
  if [ ! -f .env ]; then first=yes; fi
  scripts/configure.sh
  if [ -n "$first" ]; then
    put_setting COMPOSE_PROFILES ""
    if [ -n "$provider" ] && [ -z "$sip_address" ]; then sip_address=0.0.0.0; fi
  fi
  put_setting VERSION "$(cat VERSION)"
  put_setting ASTERISK_VERSION "$(cat ASTERISK_VERSION)"
  if [ -n "$mock" ]; then put_setting COMPOSE_PROFILES lab; fi
  if [ -n "$sip_address" ]; then put_setting SIP_ADDRESS "$sip_address"; fi
  if [ -n "$external_address" ]; then put_setting EXTERNAL_ADDRESS "$external_address"; fi
  if [ -n "$pipecat_url" ]; then put_setting PIPECAT_URL "$pipecat_url"; fi
  for entry in "${settings[@]}"; do put_setting "${entry%%=*}" "${entry#*=}"; done
}

write_provider() {
  local file="asterisk/providers/$provider.env"
  {
    if [ -n "$username" ]; then
      printf 'AUTH=registration\nUSERNAME=%s\nPASSWORD_FILE=/run/secrets/%s-password\n' "$username" "$provider"
      # Asterisk's user in its container reads it, and nobody else.
      as_root install -m 0400 -o 5060 -g 5060 "$password_file" "secrets/asterisk/$provider-password"
    else
      echo "AUTH=ip"
    fi
    if [ -n "$match" ]; then echo "MATCH=$match"; fi
    if [ -n "$host" ]; then echo "HOST=$host"; fi
    echo "CODECS=$codecs"
  } >"$file"
}

# Test calls come from this host's loopback, as a provider of their own, and go to the mock if it
# runs, else to the bot.
write_selftest_provider() {
  {
    printf '# For test calls from this host (make call); no other host has this address.\nAUTH=ip\nMATCH=127.0.0.2\nTRUST_HEADERS=yes\n'
    if [ "$(setting COMPOSE_PROFILES)" = lab ]; then
      echo "PIPECAT_URL=ws://$(setting MOCK_ADDRESS 127.0.0.1):$(setting MOCK_PORT 8080)/ws/asterisk"
    fi
  } >asterisk/providers/selftest.env
}

# The bot must answer before a call can be tried.
require_bot() {
  local url
  url="$(setting PIPECAT_URL)"
  [ -n "$mock" ] && return
  # shellcheck disable=SC2046 # host and port
  tcp_answers $(url_endpoint "$url") || fail "nobody answers at $url" "start the bot, or add --with-mock to try without it; then ./install.sh again"
}

main() {
  local log
  read_flags "$@"
  ask_questions
  check_answers
  # A name that nobody can have put a link under: this runs as root.
  log="$(mktemp -d)/pipecat-bridge-install.log"
  step "checking the bundle …"
  quietly "$log" sha256sum --check --quiet SHA256SUMS
  scripts/host.sh
  step "loading the images …"
  quietly "$log" load_images
  # The new files would replace scripts that run.
  if [ -d "$directory" ]; then lock_stack "$directory"; fi
  keep_previous
  copy_files
  cd "$directory"
  write_settings
  if [ -n "$provider" ]; then write_provider; fi
  write_selftest_provider
  require_bot
  start
  step "a test call …"
  scripts/call.sh || fail "the test call failed; the stack runs in $directory" "make -C $directory doctor" "make -C $directory logs"
  step "installed in $directory: there, make says what can be done"
}

main "$@"
