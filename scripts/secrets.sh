#!/usr/bin/env bash
# Ensures that each service can read its own secrets, and no other user can. secrets/asterisk and
# secrets/bridge are mounted as /run/secrets, each only into its own container. Called before
# anything starts or stops; with --tidy after the start, when no running service reads the old
# places any more.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/host-packages.sh

# service -> the user of its container
declare -rA uids=([asterisk]=5060 [bridge]=8090)

may_be_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }

# named_by KEYS FILE...: whether a line KEY=/run/secrets/$name names it.
named_by() {
  local keys="$1"
  shift
  grep -qsE "^($keys)=[\"']?/run/secrets/${name//./\\.}[\"']?[[:space:]]*\$" "$@"
}

# Up to version 0.1.0 both services had all of secrets/: a service that reads a file gets it. The
# file itself stays until --tidy, since containers of that version may be started again before.
distribute() {
  local file name readers reader
  for file in secrets/*; do
    [ -f "$file" ] && [ "${file##*/}" != README.md ] || continue
    name="${file##*/}" readers=()
    if named_by 'PASSWORD_FILE' asterisk/providers/*.env || named_by 'ARI_PASSWORD_FILE' .env; then readers+=(asterisk); fi
    if named_by 'PIPECAT_[A-Z_]*FILE' asterisk/providers/*.env || named_by '[A-Z_]*_FILE|NODE_EXTRA_CA_CERTS' .env; then readers+=(bridge); fi
    if [ ${#readers[@]} = 0 ]; then
      step "note: nobody reads $file; a service's secrets are in secrets/asterisk/ and secrets/bridge/"
      continue
    fi
    for reader in "${readers[@]}"; do
      [ ! -e "secrets/$reader/$name" ] || continue
      as_root cp --preserve=mode "$file" "secrets/$reader/$name"
      step "note: $file is in secrets/$reader/ now"
    done
  done
}

tidy() {
  local file copy
  for file in secrets/*; do
    [ -f "$file" ] || continue
    for copy in secrets/asterisk secrets/bridge; do
      [ -e "$copy/${file##*/}" ] || continue
      as_root rm "$file"
      step "note: $file is gone: $copy/ has it"
      break
    done
  done
}

if [ "${1:-}" = --tidy ]; then
  tidy
  exit
fi

# A secret belongs to the user of its service, with mode 0400.
secure() {
  local service="$1" uid="${uids[$1]}" file
  for file in "secrets/$service"/*; do
    [ -f "$file" ] || continue
    [ "$(stat -c '%u %a' "$file")" != "$uid 400" ] || continue
    may_be_root || fail "$file has to belong to user $uid with mode 0400 ($service's in its container); nothing was changed" \
      "sudo chown $uid:$uid $file && sudo chmod 0400 $file"
    as_root chown "$uid:$uid" "$file"
    as_root chmod 0400 "$file"
    step "note: $file belongs to $service's user now, and nobody else can read it"
  done
}

mkdir -p secrets/asterisk secrets/bridge
distribute
secure asterisk
secure bridge
