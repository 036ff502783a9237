#!/usr/bin/env bash
# Model 6: the long run's flat part, gone on with, and beside it a decay, first in float, then in 8 bits
# and with an adaptive filter (DECISIONS.md, 44 to 46).
# IMAGES and VAL are folders of photographs (LOG.md says which were used), OUT is one for what is
# trained. Each command can be stopped, and goes on when it is run again.
# As shipped (two cores with AVX512_BF16); steps and hours: LOG.md.
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}" "${OUT:?folder}"
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-20000} # threads wait awake between small operations
common=(--images "$IMAGES" --val "$VAL" --downscale 2 --workers 1 --validate-every 1000)
common+=("${CONVOLUTIONS:---bf16}")

# Flat, from step 4,683 of the flat part before (LOG.md).
npeg train "${common[@]}" --out "$OUT/flat" --resume "${FROM:?runs/fifth-flat.safetensors of commit 87c15dd}" \
    --lr 7e-4 --decay 1 --seed 14 --steps 13546

# The decay in float: of 11,000 steps to rate 0 the first 4,400; stop it (Ctrl-C) at step 17,946.
mkdir -p "$OUT/decay"
[ -e "$OUT/decay/checkpoint.pt" ] || cp "$OUT/flat/checkpoint.pt" "$OUT/decay/"
npeg train "${common[@]}" --out "$OUT/decay" --lr 7e-4 --decay 11000 --seed 14 --steps 24546

# The rest: a filter fitted alone, convolutions turned to 8-bit integers, then all trained on with them.
python -m npeg.training.steps.fit_filter "$OUT/decay/checkpoint.pt" "$IMAGES" "$OUT/filter.safetensors" --kernels 3
python -m npeg.training.steps.to_eight_bits "$OUT/filter.safetensors" "$IMAGES" "$OUT/eight-bits.safetensors"
npeg train "${common[@]}" --out "$OUT/eight-bits" --resume "$OUT/eight-bits.safetensors" \
    --crop 320 --batch 6 --lr 4e-4 --decay "${DECAY:-5000}" --seed 15 --steps "${DECAY:-5000}"
npeg export "$OUT/eight-bits/checkpoint.pt" --images "$IMAGES" --fit 64 --out npeg/models/sixth
