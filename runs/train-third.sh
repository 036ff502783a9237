#!/usr/bin/env bash
# The shipped model 3 ("third"): model 2 gone on with at three quarters of the rate, falling to zero.
# IMAGES and VAL are folders of photographs (LOG.md says which were used); run train-second.sh before.
# As run, the last step was moved three times (16,200 with --decay 8000, from step 12,189 on 15,600
# with 6811, from 13,106 on 15,200 with 5720, from 13,599 on 14,900 with 4650), each time going on at
# the same rate.
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}"
OUT=${OUT:-out}

npeg train --images "$IMAGES" --val "$VAL" --out "$OUT/third" \
    --resume "$OUT/decayed2/checkpoint.pt" --steps 14900 --decay 6267 --validate-every 1000

npeg export "$OUT/third/checkpoint.pt" --images "$IMAGES" --out npeg/models/third --fit 64
