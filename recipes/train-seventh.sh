#!/usr/bin/env bash
# Model 7: the long run's flat part after model 6, at a lower rate and with the adaptive filter in it; then
# its decay in 8 bits, and last the synthesis alone, on latents as the encoder codes them (docs/decisions, 47 and 48).
# IMAGES and VAL are folders of photographs (MODEL_CARD.md says which were used), OUT is one for what is
# trained. Each command can be stopped, and goes on when it is run again.
# As shipped (two cores with AVX512_BF16); steps and hours: docs/log/2026-11.md. The flat part began from step 17,946 of
# model 6's decay with a fitted filter; what is kept here is its step 24,650, where val hardly fell any more.
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}" "${OUT:?folder}"
common=(--images "$IMAGES" --val "$VAL" --downscale 2 --validate-every 1000 "${CONVOLUTIONS:---bf16}")

# Flat, with two threads that wait awake between small operations.
if [ "${FLAT:-}" ]; then
    GOMP_SPINCOUNT=20000 npeg train "${common[@]}" --workers 1 --out "$OUT/flat" --lr 4e-4 --decay 1 --seed 16 \
        --steps "${STEPS:-200000}" --resume "${FROM:-recipes/seventh-flat.safetensors}"
fi

# The decay: all convolutions turned to 8-bit integers, then trained on with them. Two processes of one
# thread each, four crops a step and process, take 1.4 times as many crops a second as one of two threads.
both=(env OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m npeg train "${common[@]}" --crop 320 --batch 4 --threads 1)
python -m npeg.training.steps.to_eight_bits "${FROM:-recipes/seventh-flat.safetensors}" "$IMAGES" "$OUT/eight-bits.safetensors"
"${both[@]}" --out "$OUT/eight-bits" --resume "$OUT/eight-bits.safetensors" \
    --lr 4e-4 --decay "${DECAY:-6000}" --seed 17 --steps "${DECAY:-6000}"

# The synthesis alone. As shipped it saw latents that the encoder's correction had moved by 1 at most; now they are
# chosen anew as the encoder does it since (docs/decisions, 47).
"${both[@]}" --out "$OUT/synthesis" --resume "$OUT/eight-bits/checkpoint.pt" --only-synthesis \
    --lr 1e-4 --decay "${LAST:-1000}" --seed 18 --steps "${LAST:-1000}"
npeg export "$OUT/synthesis/checkpoint.pt" --images "$IMAGES" --fit 64 --out "$OUT/model"  # npeg/models/seventh has it
