#!/bin/sh
# The restorer (LOG.md): flat to step 14,371, then the decay to zero.
#   sh runs/train-restorer.sh TRAIN VAL OUT
# Its first 4,600 steps were taken with the samples and the loss of commit 5ea5ccc. To lengthen the
# flat part from its running means: --resume runs/restorer-flat.safetensors (without the optimisers).
set -eu
train=${1:?give the folder of training images}
val=${2:?give the folder of photographs to validate on}
out=${3:?give the folder for checkpoint and logs}
npeg train --codec restorer --images "$train" --val "$val" --out "$out" \
    --steps 18871 --decay 4500 --validate-every 2000
npeg export "$out/checkpoint.pt" --codec restorer --images "$train" --out npeg/models/restorer
