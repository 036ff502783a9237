#!/bin/sh
# The restorer (LOG.md), the run that goes on: a flat part that is lengthened until it is long enough,
# then a decay from it (--steps and --decay) and the export. The shipped weights are from the run before:
# the script of this name, and the network, of commit 487aca7.
#   sh runs/train-restorer.sh TRAIN VAL OUT
# Begun with 3, 2, 3 pairs, deepened to 6, 2, 3 by runs/reshape.py; runs/to_eight_bits.py makes them 8-bit ones to be
# trained on. Without the checkpoint of its flat part: --resume runs/restorer-flat.safetensors (without optimisers).
set -eu
train=${1:?give the folder of training images}
val=${2:?give the folder of photographs to validate on}
out=${3:?give the folder for checkpoint and logs}
npeg train --codec restorer --images "$train" --val "$val" --out "$out" \
    --steps "${STEPS:-200000}" --decay "${DECAY:-1}" --validate-every 2000 --bf16
npeg export "$out/checkpoint.pt" --codec restorer --images "$train" --out "$out/model"
