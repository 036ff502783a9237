#!/usr/bin/env bash
# Model 4, the long run, in parts: a flat one that is lengthened until it is long enough, then a decay from it.
# Lengthen a part by running it again with more STEPS (in all); Ctrl-C stops it. Begin another in an OUT
# of its own with FROM=checkpoint of the part before: with ENTROPY=--only-entropy, in between, for the
# entropy model alone (DECISIONS.md, 40).
# As shipped (two cores without AVX-512, CONVOLUTIONS=--winograd; LOG.md has the parts before):
#   OUT=f FROM=runs/fourth-flat.safetensors (LOG.md) RATE=7e-4 SEED=9, stopped at step 339
#   OUT=g FROM=f/checkpoint.pt RATE=7e-4 SEED=9 STEPS=1840 DECAY=1500
#   npeg export g/checkpoint.pt --images "$IMAGES" --fit 64 --out npeg/models/fourth
# IMAGES and VAL are folders of photographs (LOG.md says which were used). Steps and hours: LOG.md.
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}" "${OUT:?folder of this part}"

# Without bfloat16 instructions: CONVOLUTIONS=--winograd.
npeg train --images "$IMAGES" --val "$VAL" --out "$OUT" ${FROM:+--resume "$FROM"} ${ENTROPY:+"$ENTROPY"} \
    --lr "${RATE:-1e-3}" --seed "${SEED:-0}" \
    --steps "${STEPS:-200000}" --decay "${DECAY:-1}" --validate-every 2000 "${CONVOLUTIONS:---bf16}"
