#!/usr/bin/env bash
# Model 4, the long run: a flat part that is lengthened until it is long enough, then a decay from it.
# Without the checkpoint of its flat part: --resume runs/fourth-flat.safetensors (without optimisers).
# IMAGES and VAL are folders of photographs (LOG.md says which were used). Steps and hours: LOG.md.
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}"
OUT=${OUT:-out}

# Without bfloat16 instructions: CONVOLUTIONS=--winograd. Flat: stop it with Ctrl-C, lengthen it by running it again.
npeg train --images "$IMAGES" --val "$VAL" --out "$OUT/fourth" --steps "${FLAT:-200000}" --decay 1 \
    --validate-every 2000 "${CONVOLUTIONS:---bf16}"
