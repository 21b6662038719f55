# shellcheck shell=bash
# Sourced in the directory of the stack: its settings (.env) and its version.

# setting NAME [DEFAULT]: the value of NAME in .env, as compose reads it; the default if it is
# absent or empty.
setting() {
  local value=""
  if [ -f .env ]; then value="$(sed -n "s/^$1=//p" .env | tail -n 1)"; fi
  value="${value%\"}" && value="${value#\"}"
  printf '%s' "${value:-${2:-}}"
}

# put_setting NAME VALUE: sets NAME in .env. When that fails (a full disk), .env is as it was.
put_setting() {
  local file value edit
  file="$(realpath .env)"
  value="$(sed 's/[&|\\]/\\&/g' <<<"$2")"
  edit="s|^$1=.*|$1=$value|"
  # Appended by sed: the last line may be without a newline.
  grep -q "^$1=" "$file" || edit="\$a\\$1=$value"
  # errexit is off where a condition calls this. The copy has the owner and the mode.
  cp -p "$file" "$file.new" && sed "$edit" "$file" >"$file.new" && sync "$file.new" && mv "$file.new" "$file" && return
  rm -f "$file.new"
  return 1
}

# setting_names FILE: the names of all settings in FILE.
setting_names() { sed -n 's/^\([A-Z][A-Z0-9_]*\)=.*/\1/p' "$1"; }

# unknown_settings: the names in .env that are not settings, one a line. A mistyped name would have
# no effect and no message. compose has settings of its own, and each setting may come from a file
# (NAME_FILE).
unknown_settings() {
  comm -23 <(setting_names .env | sort -u) <(setting_names .env.example | sed 'p;s/$/_FILE/' | sort -u) |
    grep -vE '^(COMPOSE|DOCKER|BUILDKIT)_' || true
}

# unknown_profiles: what COMPOSE_PROFILES names and compose.yaml has not, one a line. compose turns
# nothing on for it, without a word.
unknown_profiles() {
  local known
  known="$(docker compose config --profiles 2>/dev/null)" || return 0
  setting COMPOSE_PROFILES | tr ', ' '\n\n' | sed '/^$/d' | grep -vxF "${known:-/}" || true
}

# plain: without the control sequences that compose 2.26 writes into logs.
plain() { sed $'s/\x1b\\[[0-9;]*[A-Za-z]//g'; }

# product_version: the version of what is checked out here; the bridge's package has it.
product_version() { sed -n 's/^  "version": "\(.*\)",/\1/p' bridge/package.json; }

# image NAME: one of our images, in the version that runs here. Asterisk's may have a tag of its own
# (ASTERISK_VERSION).
image() {
  local tag="${VERSION:-$(setting VERSION dev)}"
  if [ "$1" = asterisk ]; then tag="${ASTERISK_VERSION:-$(setting ASTERISK_VERSION "$tag")}"; fi
  echo "pipecat-bridge/$1:$tag"
}

# image_content IMAGE: a name for what is in it: Debian packages, our files, and how it starts. When
# they were built does not count.
image_content() {
  # shellcheck disable=SC2016 # the inner shell expands
  {
    docker image inspect --format '{{json .Config.User}} {{json .Config.Env}} {{json .Config.Entrypoint}} {{json .Config.Cmd}} {{json .Config.Healthcheck}}' "$1"
    docker run --rm --network none --user 0 --entrypoint bash "$1" -c 'set -e
      dpkg-query --show --showformat "\${Package} \${Version} \${Architecture}\n"
      find /usr/local/lib/pipecat-bridge /usr/share/pipecat-bridge ! -type d -printf "%m %p\n" | sort
      find /usr/local/lib/pipecat-bridge /usr/share/pipecat-bridge -type f -print0 | sort -z | xargs -0 sha256sum'
  } | sha256sum | cut -c -16
}

# bridge_settings: the bridge's settings that apply on reload, as compose reads them from .env, in
# JSON.
bridge_settings() {
  local lines
  lines="$(docker compose config --format json | sed -n '/^  "x-settings": {$/,/^  }/{//!p}')" || return
  printf '{\n%s\n}\n' "${lines//'$$'/'$'}"
}

# is_installation: whether this is where a bundle was installed. It has the images of its VERSION
# and no sources; a checkout builds its images.
is_installation() { [ -n "$(setting VERSION)" ]; }

# mock_url SCHEME: where the lab's mock answers.
mock_url() { echo "$1://$(setting MOCK_ADDRESS 127.0.0.1):$(setting MOCK_PORT 8080)"; }

# bot_url: the bot that calls go to, unless their provider or a header of theirs names another.
# compose.yaml has the same default.
bot_url() { setting PIPECAT_URL "$(mock_url ws)/ws/asterisk"; }

stack_name() { echo "${COMPOSE_PROJECT_NAME:-$(setting COMPOSE_PROJECT_NAME pipecat-bridge)}"; }

# stack_owner: the other directory whose stack has this one's name; nothing where there is none.
# compose finds containers by that name alone. A container without a directory was not started by
# compose: an image may have brought the name.
stack_owner() {
  local owners owner
  owners="$(docker ps --all --filter "label=com.docker.compose.project=$(stack_name)" \
    --format '{{.Label "com.docker.compose.project.working_dir"}}')" || return
  while IFS= read -r owner; do
    if [ -z "$owner" ] || [ "$owner" -ef . ]; then continue; fi
    echo "$owner"
    return
  done <<<"$owners"
}

# is_stack_mixed: whether containers of that stack are of this directory too: `docker compose up`
# was run in the other one. Then neither directory's scripts touch it.
is_stack_mixed() {
  local owner
  while IFS= read -r owner; do
    if [ -n "$owner" ] && [ "$owner" -ef . ]; then return; fi
  done < <(docker ps --all --filter "label=com.docker.compose.project=$(stack_name)" \
    --format '{{.Label "com.docker.compose.project.working_dir"}}')
  return 1
}

# require_own_stack: ends the script where the stack of this name is another directory's.
require_own_stack() {
  local owner
  owner="$(stack_owner)" || fail "Docker does not say whose stack runs" "docker ps --all"
  [ -z "$owner" ] || ! is_stack_mixed ||
    fail "the stack named $(stack_name) is of this directory in part, in part of $owner" \
      "to stop all of it, in either directory: make down ALL=1"
  [ -z "$owner" ] || fail "the stack named $(stack_name) is not of this directory, but of $owner" \
    "to work with that one: make -C $owner; to stop it: make -C $owner down" \
    "to have one here too: another COMPOSE_PROJECT_NAME, and ports of its own, in .env"
}

# listeners: what the stack listens on, one a line: service, protocol, address, port, purpose.
listeners() {
  local sip
  sip="$(setting SIP_ADDRESS 127.0.0.1) $(setting SIP_PORT 5060)"
  echo "asterisk udp $sip SIP"
  echo "asterisk tcp $sip SIP"
  echo "asterisk tcp $(setting ARI_ADDRESS 127.0.0.1) $(setting ARI_PORT 8088) ARI"
  echo "bridge tcp $(setting HTTP_ADDRESS 127.0.0.1) $(setting HTTP_PORT 8090) API, health and metrics"
  case ",$(setting COMPOSE_PROFILES)," in
    *,lab,*) echo "mock-pipecat tcp $(setting MOCK_ADDRESS 127.0.0.1) $(setting MOCK_PORT 8080) mock Pipecat" ;;
  esac
}

# has_port PROTOCOL PORT: whether the listeners on standard input have this port, at any address.
has_port() { awk -v protocol="$1" -v port="$2" '$2 == protocol && $4 == port { found = 1 } END { exit !found }'; }
