#!/usr/bin/env bash
# The weights of dither8. IMAGES and VAL are folders of photographs; Ctrl-C stops, the same command
# goes on. docs/log/2026-11.md says how far the shipped ones came. To go on from a finished run's weights:
#   RESUME="--resume old/checkpoint.pt" OUT=longer sh recipes/train-dither8.sh
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}"
OUT=${OUT:-out}

# shellcheck disable=SC2086
npeg train --codec dither8 --images "$IMAGES" --val "$VAL" --out "$OUT/dither8" \
    --steps "${STEPS:-20000}" --batch "${BATCH:-16}" --crop "${CROP:-128}" --lr "${LR:-2e-3}" ${WINOGRAD:-} ${RESUME:-}
npeg export "$OUT/dither8/checkpoint.pt" --codec dither8 --images "$IMAGES" --fit 16 \
    --out npeg/models/dither8
