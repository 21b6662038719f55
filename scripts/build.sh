#!/usr/bin/env bash
# Builds images by name (asterisk bridge mock-pipecat sipp e2e), in parallel. An unchanged image
# takes one second.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh

HOST_CA=/etc/ssl/certs/ca-certificates.crt

# compose labels each image with its project, and `docker run` passes that on to containers: with
# the name of a stack they would be taken for parts of it.
build() { docker compose --project-name pipecat-bridge-images --progress plain --file scripts/images.yaml build "$@"; }

main() {
  step "building images: $* …"
  if [ -r "$HOST_CA" ]; then export CA_BUNDLE="$HOST_CA"; fi
  # Older engines use the builder of old unless told.
  export DOCKER_BUILDKIT=1
  quietly "$PWD/.logs/build-node.log" build npm node
  quietly "$PWD/.logs/build-${1}.log" build "$@"
}

main "$@"
