#!/usr/bin/env bash
# Model 5: the long run's flat part, gone on with, and beside it a decay in 8 bits (DECISIONS.md, 42).
# IMAGES and VAL are folders of photographs (LOG.md says which were used), OUT is one for what is
# trained. Both commands can be stopped, and go on when they are run again.
# As shipped (two cores without AVX-512); steps and hours: LOG.md.
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}" "${OUT:?folder}"
common=(--images "$IMAGES" --val "$VAL" --downscale 2 --validate-every 1000 "${CONVOLUTIONS:---winograd}")

# Flat: lengthened until it is long enough; model 5 branched off at step 2,156. It began from
# runs/fourth-flat.safetensors (LOG.md); what it had reached is kept up to commit 87c15dd.
npeg train "${common[@]}" --out "$OUT/flat" --resume "${FROM:?runs/fifth-flat.safetensors of commit 87c15dd}" \
    --lr 7e-4 --decay 1 --seed 12 --steps "${STEPS:-200000}"

# The decay: residual pairs turned to 8-bit integers, and all trained on with them.
python -m npeg.training.steps.to_eight_bits "$OUT/flat/checkpoint.pt" "$IMAGES" "$OUT/eight-bits.safetensors"
npeg train "${common[@]}" --out "$OUT/decay" --resume "$OUT/eight-bits.safetensors" \
    --lr 5e-4 --decay "${DECAY:-900}" --seed 13 --steps "${DECAY:-900}"
npeg export "$OUT/decay/checkpoint.pt" --images "$IMAGES" --fit 64 --out npeg/models/fifth
