#!/usr/bin/env bash
# Model 1 ("first"), a preview: a flat part that can be lengthened (train-second.sh), then a decay from it.
# The default network has other layers since (DECISIONS.md, 36); commit d5fc95f still has those used here.
# IMAGES and VAL are folders of photographs (LOG.md says which were used); 2.1 hours on two cores.
set -euo pipefail
: "${IMAGES:?folder of training images}" "${VAL:?folder of validation images}"
OUT=${OUT:-out}

# Flat: stop it with Ctrl-C, lengthen it by running it again.
npeg train --images "$IMAGES" --val "$VAL" --out "$OUT/flat" --steps "${FLAT:-4254}" --decay 1 \
    --validate-every 1000

# Decay, from the flat part's checkpoint.
npeg train --images "$IMAGES" --val "$VAL" --out "$OUT/decayed" --resume "$OUT/flat/checkpoint.pt" \
    --steps "${STEPS:-6754}" --decay "${DECAY:-2500}" --validate-every 1000

npeg export "$OUT/decayed/checkpoint.pt" --images "$IMAGES" --out npeg/models/first
