#!/bin/sh
# Rate and distortion of the common codecs on the 24 Kodak photographs.
#   sh runs/kodak.sh FOLDER_OF_KODAK [WORKING_FOLDER]
# Goes on where it was interrupted. The photographs: https://r0k.us/graphics/kodak/
set -eu
kodak=${1:?give the folder of the 24 Kodak PNG files}
out=${2:-build/kodak}
npeg bench --images "$kodak" --out "$out" --codecs jpeg,webp,avif
cp "$out/results.tsv" "$(dirname "$0")/kodak-rivals.tsv"
