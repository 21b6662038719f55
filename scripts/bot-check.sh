#!/usr/bin/env bash
# Plays a caller against a Pipecat bot and prints what passed: the bridge's own code, in its image,
# without Asterisk. Variables that are not set have the value of .env:
#   URL= the bot; DIALECT= native or twilio; ENCODING= SAMPLE_RATE= FRAMING=; TO= FROM= TENANT=
#   ORIGIN=; SPEECH= a WAV file, what the caller says; CA_FILE= for wss; GREETING_MS= RESPONSE_MS=
#   how long to wait; JSON=1; AUTHORIZATION= in the environment.
# Make passes on the variables that it is given.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh

# In a checkout the image follows the sources.
prepare() {
  if is_installation; then return; fi
  scripts/host.sh
  scripts/base.sh
  scripts/build.sh bridge
}

main() {
  local dialect="${DIALECT:-$(setting PIPECAT_DIALECT native)}" mounts=() options=()
  # A table is preceded by what is being done; JSON stands alone.
  if [ -n "${JSON:-}" ]; then prepare >&2; else prepare; fi
  # The bot of .env is given its token; another is not.
  if [ -z "${URL:-}" ]; then export AUTHORIZATION="${AUTHORIZATION:-$(setting PIPECAT_AUTHORIZATION)}"; fi
  if [ "$dialect" = native ]; then
    options+=(--encoding "${ENCODING:-$(setting DEFAULT_ENCODING)}" --sample-rate "${SAMPLE_RATE:-$(setting DEFAULT_SAMPLE_RATE)}")
    options+=(--framing "${FRAMING:-$(setting PIPECAT_FRAMING)}")
  fi
  if [ -n "${SPEECH:-}" ]; then
    mounts+=(--volume "$(realpath "$SPEECH"):/speech.wav:ro")
    options+=(--speech /speech.wav)
  fi
  if [ -n "${CA_FILE:-}" ]; then
    mounts+=(--volume "$(realpath "$CA_FILE"):/ca.pem:ro")
    options+=(--ca-file /ca.pem)
  fi
  if [ -n "${JSON:-}" ]; then options+=(--json); fi
  exec docker run --rm --init --network host --read-only --cap-drop ALL --security-opt no-new-privileges \
    --env AUTHORIZATION "${mounts[@]}" "$(image bridge)" \
    node bot-check/main.ts \
    --url "${URL:-$(bot_url)}" \
    --dialect "$dialect" --to "${TO:-}" --from "${FROM:-}" --tenant "${TENANT:-}" --origin "${ORIGIN:-}" \
    --greeting-ms "${GREETING_MS:-}" --response-ms "${RESPONSE_MS:-}" "${options[@]}"
}

main "$@"
