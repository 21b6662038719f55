#!/usr/bin/env bash
# Writes dist/pipecat-bridge-VERSION.tar.gz: all that a host without a registry or this checkout
# needs to run the product. Unpack it there and run ./install.sh; INSTALL.md in it says more.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh

# The tag of Asterisk's image: what is in it, whatever the release is
ASTERISK=""
# The mock and SIPp are for the test call that ends an installation.
IMAGES=(asterisk bridge mock-pipecat sipp)
SCRIPTS=(bot-check call compose configure cuts doctor down host host-packages lock ports progress reload reloads rollout secrets settings tidy up)
RELEASE="$(product_version)"
STAGE="dist/pipecat-bridge-$RELEASE"

build_images() {
  local name
  scripts/build.sh "${IMAGES[@]}"
  for name in "${IMAGES[@]}"; do docker tag "pipecat-bridge/$name:dev" "pipecat-bridge/$name:$RELEASE"; done
  ASTERISK="$(image_content pipecat-bridge/asterisk:dev)"
  docker tag pipecat-bridge/asterisk:dev "pipecat-bridge/asterisk:$ASTERISK"
}

copy_files() {
  local name
  rm -rf "$STAGE" "$STAGE.tar.gz"
  mkdir -p "$STAGE/scripts" "$STAGE/asterisk/providers"
  cp compose.yaml .env.example "$STAGE/"
  cp -r asterisk/fail2ban "$STAGE/asterisk/"
  cp asterisk/providers/README.md "$STAGE/asterisk/providers/"
  for name in "${SCRIPTS[@]}"; do cp "scripts/$name.sh" "$STAGE/scripts/"; done
  cp scripts/stack.mk "$STAGE/scripts/"
  echo 'include scripts/stack.mk' >"$STAGE/Makefile"
  cp scripts/install.sh scripts/INSTALL.md "$STAGE/"
  cp README.md CHANGELOG.md SECURITY.md NOTICE "$STAGE/"
  # What the README and docs/ refer to.
  cp -r docs "$STAGE/"
  mkdir -p "$STAGE/bridge/wire" "$STAGE/e2e/mock-pipecat"
  cp bridge/wire/*.json "$STAGE/bridge/wire/"
  cp e2e/mock-pipecat/README.md "$STAGE/e2e/mock-pipecat/"
  # The sources are not in the bundle, nor is what describes them.
  find "$STAGE" -name '*.md' -exec \
    sed -Ei 's#\[([^]]*)\]\((\.\./)*(CONTRIBUTING|bridge/ARCHITECTURE)\.md[^)]*\)#\1 (in the sources)#g' {} +
  echo "$RELEASE" >"$STAGE/VERSION"
  echo "$ASTERISK" >"$STAGE/ASTERISK_VERSION"
}

# Asterisk's image is apart: a host that has it already does not load it again.
pack() {
  local name others=()
  for name in "${IMAGES[@]}"; do
    if [ "$name" != asterisk ]; then others+=("pipecat-bridge/$name:$RELEASE"); fi
  done
  docker save --output "$STAGE/images.tar" "${others[@]}"
  docker save --output "$STAGE/asterisk.tar" "pipecat-bridge/asterisk:$ASTERISK"
  (cd "$STAGE" && find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS)
  tar --create --directory dist --owner root --group root "$(basename "$STAGE")" | gzip -4 >"$STAGE.tar.gz"
  rm -rf "$STAGE"
}

main() {
  scripts/host.sh
  scripts/base.sh
  build_images
  step "packing $STAGE.tar.gz …"
  copy_files
  quietly "$PWD/.logs/bundle.log" pack
  step "$STAGE.tar.gz: $(du -h "$STAGE.tar.gz" | cut -f1)"
  echo "       on the target host: tar xzf $(basename "$STAGE").tar.gz && cd $(basename "$STAGE") && ./install.sh --help"
}

main
