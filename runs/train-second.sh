#!/usr/bin/env bash
# Model 2, a preview ("second"): the flat part of train-first.sh lengthened, then a decay to zero.
# IMAGES and VAL are folders of photographs (LOG.md says which were used); run train-first.sh before.
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}"
OUT=${OUT:-out}

go_on() { # FROM TO LAST_STEP [OPTION...]
    npeg train --images "$IMAGES" --val "$VAL" --out "$OUT/$2" --resume "$OUT/$1/checkpoint.pt" \
        --steps "$3" --validate-every 1000 "${@:4}"
}

go_on flat flat2 5031 --decay 1
go_on flat2 flat3 6072 --decay 1 --batch 4 # half the batch: no better, see LOG.md
go_on flat3 decayed2 10300 --decay 4200

npeg export "$OUT/decayed2/checkpoint.pt" --images "$IMAGES" --out npeg/models/second
