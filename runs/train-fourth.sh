#!/usr/bin/env bash
# Model 4, the long run, in parts: a flat one that is lengthened until it is long enough, then a decay from it.
# Lengthen a part by running it again with more STEPS (in all); Ctrl-C stops it. Begin another in an OUT
# of its own with FROM=checkpoint of the part before: with ENTROPY=--only-entropy, in between, for the
# entropy model alone (DECISIONS.md, 40). To go on from what is kept here: FROM=runs/fourth-flat.safetensors.
# IMAGES and VAL are folders of photographs (LOG.md says which were used). Steps and hours: LOG.md.
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}" "${OUT:?folder of this part}"

# Without bfloat16 instructions: CONVOLUTIONS=--winograd.
npeg train --images "$IMAGES" --val "$VAL" --out "$OUT" ${FROM:+--resume "$FROM"} ${ENTROPY:+"$ENTROPY"} \
    --steps "${STEPS:-200000}" --decay "${DECAY:-1}" --validate-every 2000 "${CONVOLUTIONS:---bf16}"
