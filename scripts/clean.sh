#!/usr/bin/env bash
# Removes what we made: containers, volumes, images, and the base image if it was made here. .env
# and secrets/ stay.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh

# remove_images FILTER...: each image once, with all its tags.
remove_images() { docker image ls --quiet --no-trunc "$@" | sort -u | xargs --no-run-if-empty docker image rm --force >>.logs/clean.log; }

docker info >/dev/null 2>&1 || { step "no Docker engine answers: nothing to remove"; exit 0; }
require_own_stack
step "removing containers and volumes …"
quietly "$PWD/.logs/clean.log" docker compose --profile '*' down --remove-orphans --volumes
step "removing images …"
remove_images --filter label=pipecat-bridge
remove_images --filter label=pipecat-bridge.base debian:forky-slim
rm -rf dist .logs
step "clean; .env and secrets/ are still there, and the build cache: docker builder prune"
