#!/usr/bin/env bash
# From a folder of photographs to an exported model, in an evening on a laptop (docs/training.md says what to expect).
#   IMAGES=photos/ VAL=other-photos/ OUT=run/ recipes/train-evening.sh
# IMAGES and VAL are folders of photographs that have none in common, OUT is one for what is trained. Stopped by Ctrl-C, it goes on
# when it is run again. FROM=recipes/seventh-flat.safetensors begins with weights that have learned already.
# CONVOLUTIONS=--bf16 is faster on CPUs with AVX512_BF16 or AMX, CONVOLUTIONS=--winograd on CPUs without AVX-512.
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}" "${OUT:?folder}"
start=(--lr 1e-3 --ramp 1000)
if [ "${FROM:-}" ]; then
    start=(--lr 4e-4 --resume "$FROM")
fi
# As long as the run that became model 1, two fifths of it falling to rate 0.
npeg train --images "$IMAGES" --val "$VAL" --out "$OUT" --downscale 2 --steps "${STEPS:-6800}" --decay "${DECAY:-2500}" \
    "${start[@]}" ${CONVOLUTIONS:-}
npeg export "$OUT/checkpoint.pt" --images "$IMAGES" --out "$OUT/model"
echo "the model is in $OUT/model"
