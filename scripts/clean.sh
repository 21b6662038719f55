#!/usr/bin/env bash
# Removes what we made: containers, volumes, images, and the base image if it was made here. .env
# and secrets/ stay, and so does what another stack of this host runs from.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/lock.sh
. scripts/settings.sh

# Images by id or tag, a line each: containers have them, of another stack or of a test run. An
# image that no container has is in use too if its tag is: SIPp's, for the next test call.
images_in_use() {
  local id name
  while read -r id name; do
    docker inspect --format '{{.Image}}' "$id"
    case "$name" in *:*) echo "${name##*:}" ;; esac
  done < <(docker ps --all --filter label=pipecat-bridge --format '{{.ID}} {{.Image}}')
}

remove_images() {
  local id name used removed=() kept=()
  used="$(images_in_use)"
  while read -r id name; do
    if grep -qxF -e "$id" -e "${name##*:}" <<<"$used"; then
      kept+=("$name")
      continue
    fi
    case "$name" in *'<none>') name="$id" ;; esac
    removed+=("$name")
  done < <(docker image ls --no-trunc --filter label=pipecat-bridge --format '{{.ID}} {{.Repository}}:{{.Tag}}')
  remove "${removed[@]}"
  if [ ${#kept[@]} -gt 0 ]; then step "kept, since containers run from them or their version: ${kept[*]}"; fi
}

remove() { if [ $# -gt 0 ]; then docker image rm --force "$@" >>.logs/clean.log; fi; }

remove_base() {
  local id
  id="$(docker image ls --quiet --no-trunc --filter label=pipecat-bridge.base debian:forky-slim)"
  if [ -n "$id" ]; then remove "$id"; fi
}

docker info >/dev/null 2>&1 || { step "no Docker engine answers: nothing to remove"; exit 0; }
require_own_stack
lock_stack
step "removing containers and volumes …"
quietly "$PWD/.logs/clean.log" docker compose --profile '*' down --remove-orphans --volumes
step "removing images …"
remove_images
remove_base
rm -rf dist .logs
step "clean; .env and secrets/ are still there, and the build cache: docker builder prune"
