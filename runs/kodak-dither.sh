#!/bin/sh
# Rate and distortion of the dither codecs on the 24 Kodak photographs. The published rows came from two
# shorter runs: --codecs dither8 --qualities 10,40,70,100, and --codecs dither on 01, 08, 15 and 22.
#   sh runs/kodak-dither.sh FOLDER_OF_KODAK [WORKING_FOLDER]
# Goes on where it was interrupted. The photographs: https://r0k.us/graphics/kodak/
set -eu
kodak=${1:?give the folder of the 24 Kodak PNG files}
out=${2:-build/kodak-dither}
here=$(dirname "$0")
npeg bench --images "$kodak" --out "$out" --codecs dither,dither8 --metrics psnr,psnr-y
cp "$out/results.tsv" "$here/kodak-dither.tsv"
