# shellcheck shell=bash
# Sourced by the tests of a whole lab. The lab has a directory, a name and ports of its own, so it
# does not disturb a lab that runs on this host. Needs progress.sh and settings.sh.

DIRECTORY="$(mktemp -d)"

remove_lab() {
  trap - EXIT INT TERM
  (cd "$DIRECTORY" && docker compose --profile '*' down --remove-orphans --volumes) >/dev/null 2>&1 || true
  rm -rf "$DIRECTORY"
}
trap remove_lab EXIT
trap 'exit 130' INT TERM

# set_in_env NAME VALUE: another value in .env.
set_in_env() { sed -i "s|^$1=.*|$1=$2|" "$DIRECTORY/.env"; }

# Not the user's own providers, whose secrets are not here.
copy_lab() {
  mkdir -p "$DIRECTORY/asterisk/providers"
  cp -r scripts compose.yaml .env.example "$DIRECTORY/"
  cp asterisk/providers/pb_fintech.env "$DIRECTORY/asterisk/providers/"
}

# No port of the usual lab, and none of the end-to-end tests (e2e/stack/ports.ts).
set_ports() {
  set_in_env COMPOSE_PROJECT_NAME pipecat-bridge-test-lab
  set_in_env VERSION "${VERSION:-$(setting VERSION dev)}"
  set_in_env SIP_PORT 27060
  set_in_env ARI_PORT 27088
  set_in_env HTTP_PORT 27090
  set_in_env MOCK_PORT 27080
  set_in_env ASTERISK_RTP_PORT_MIN 27200
  set_in_env ASTERISK_RTP_PORT_MAX 27999
  set_in_env RTP_PORT_MIN 28200
  set_in_env RTP_PORT_MAX 28999
  # Each call may need four of Asterisk's RTP ports.
  set_in_env MAX_CALLS 100
}

# start_lab: from nothing, as `make up` does on a new host.
start_lab() {
  copy_lab
  "$DIRECTORY/scripts/configure.sh"
  set_ports
  "$DIRECTORY/scripts/up.sh"
}
