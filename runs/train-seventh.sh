#!/usr/bin/env bash
# The long run's flat part after model 6, at a lower rate and with the adaptive filter in it: lengthened
# until it is long enough, then to be decayed in 8 bits as in train-sixth.sh (without fit_filter.py).
# IMAGES and VAL are folders of photographs (LOG.md says which were used), OUT is one for what is
# trained. It can be stopped, and goes on when it is run again.
# It began from step 17,946 of model 6's decay with a fitted filter. What is kept here is its step
# 24,650, where val hardly fell any more: to be decayed next.
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}" "${OUT:?folder}"
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-20000} # threads wait awake between small operations
npeg train --images "$IMAGES" --val "$VAL" --downscale 2 --workers 1 --validate-every 1000 \
    "${CONVOLUTIONS:---bf16}" --out "$OUT/flat" --resume "${FROM:-runs/seventh-flat.safetensors}" \
    --lr 4e-4 --decay 1 --seed 16 --steps "${STEPS:-200000}"
