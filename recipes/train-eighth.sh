#!/usr/bin/env bash
# Model 8, the visual tune: from model 7's flat weights with quantisation widths that adapt, trained for
# what people see; then all of it in 8 bits, falling to rate 0 (docs/decisions, 51 to 55).
#   IMAGES=photos/ VAL=other-photos/ OUT=run/ recipes/train-eighth.sh
# IMAGES and VAL are folders of photographs (MODEL_CARD.md says which were used), OUT is one for what is trained.
# Each command can be stopped, and goes on when it is run again. Two processes of one thread each, as shipped on
# two cores with AVX512_BF16 in 2 hours; with other processors set CONVOLUTIONS to --winograd or to "".
# As shipped the flat part had the loss of commit 1070c1c and the rest that of b3b0c1f: shares of squared error,
# SSIMULACRA2 and MS-SSIM of .3 / .55 / .15 and .2 / .65 / .15. Both have the latter now, and mirrored crops (60).
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}" "${OUT:?folder}"
here=$(dirname "$0")
python "$here/synthetic.py" "$OUT/images/synthetic" # text, flat colours and edges beside the photographs
ln -sfn "$(realpath "$IMAGES")" "$OUT/images/photographs"
common=(--tune visual --images "$OUT/images" --val "$VAL" --downscale 2 "${CONVOLUTIONS:---bf16}")
both=(env OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m npeg train "${common[@]}" --threads 1)

# Flat, in float.
python -m npeg.training.steps.reshape "$here/seventh-flat.safetensors" "$OUT/start.safetensors" adaptive_width=1
"${both[@]}" --out "$OUT/flat" --resume "$OUT/start.safetensors" \
    --lr 4e-4 --decay 1 --seed 40 --steps "${FLAT:-2450}"

# In 8 bits, falling to rate 0.
python -m npeg.training.steps.to_eight_bits "$OUT/flat/checkpoint.pt" "$OUT/images" "$OUT/eight.safetensors"
"${both[@]}" --crop 320 --batch 5 --out "$OUT/eight" --resume "$OUT/eight.safetensors" \
    --lr 4e-4 --decay "${DECAY:-2600}" --seed 41 --steps "${STEPS:-3700}"

# Qualities as people mean them, then the export.
python -m npeg.training.steps.calibrate "$OUT/eight/checkpoint.pt" "$VAL" --out "$OUT/calibrated.safetensors"
npeg export "$OUT/calibrated.safetensors" --images "$IMAGES" --fit 32 --out "$OUT/model"  # npeg/models/eighth has it
