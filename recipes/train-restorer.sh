#!/bin/sh
# The restorer (docs/log/2026-11.md): a flat part that is lengthened until it is long enough, then a decay from it
# (--steps and --decay) and the export.
#   sh recipes/train-restorer.sh TRAIN VAL OUT
# Begun with 3, 2, 3 pairs, deepened to 6, 2, 3 by npeg.training.steps.reshape. The shipped weights' last part, on two cores
# without AVX-512: FROM=recipes/restorer-flat.safetensors RATE=3.3e-4 SEED=21 STEPS=1450 DECAY=1450
# CONVOLUTIONS=--winograd (STEPS and DECAY were lowered three times while it ran, see the log).
set -eu
train=${1:?give the folder of training images}
val=${2:?give the folder of photographs to validate on}
out=${3:?give the folder for checkpoint and logs}
npeg train --codec restorer --images "$train" --val "$val" --out "$out" \
    ${FROM:+--resume "$FROM"} --lr "${RATE:-1e-3}" --seed "${SEED:-0}" --steps "${STEPS:-200000}" \
    --decay "${DECAY:-1}" --validate-every 2000 "${CONVOLUTIONS:---bf16}"
npeg export "$out/checkpoint.pt" --codec restorer --images "$train" --out "$out/model"
