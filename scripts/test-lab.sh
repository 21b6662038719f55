#!/usr/bin/env bash
# Starts a lab from nothing, as `make up` does on a new host, and runs `make doctor` on it: doctor
# must find no fault. Needs the images of asterisk, bridge and mock-pipecat.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh
. scripts/lab.sh

start_lab
"$DIRECTORY/scripts/doctor.sh"
