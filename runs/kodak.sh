#!/bin/sh
# Rate and distortion of npeg and the common codecs on the 24 Kodak photographs, and the report.
#   sh runs/kodak.sh FOLDER_OF_KODAK [WORKING_FOLDER]
# The published rows came from these commands in several interrupted parts (the rivals first, npeg
# later, into one store), not from one pass of this script. Goes on where it was interrupted. The
# photographs: https://r0k.us/graphics/kodak/
set -eu
kodak=${1:?give the folder of the 24 Kodak PNG files}
out=${2:-build/kodak}
here=$(dirname "$0")
npeg bench --images "$kodak" --out "$out" --codecs npeg,jpeg,webp,avif \
    --metrics psnr,psnr-y,ms-ssim,ssimulacra2 --report
cp "$out/results.tsv" "$here/kodak.tsv"
cp "$out/bd-rates.tsv" "$here/kodak-bd-rates.tsv"
cp "$out/rd-psnr.png" "$here/kodak-rd-psnr.png"
