#!/bin/sh
# The restorer: flat so far, to be decayed at its end (LOG.md).
#   sh runs/train-restorer.sh TRAIN VAL OUT
# The shipped weights are the running means at step 3,300, where it was stopped. To go on from their
# flat weights without the optimisers: --resume runs/restorer-flat.safetensors
set -eu
train=${1:?give the folder of training images}
val=${2:?give the folder of photographs to validate on}
out=${3:?give the folder for checkpoint and logs}
npeg train --codec restorer --images "$train" --val "$val" --out "$out" \
    --steps 100000 --decay 4000 --validate-every 1000
npeg export "$out/checkpoint.pt" --codec restorer --out npeg/models/restorer
