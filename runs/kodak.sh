#!/bin/sh
# Rate and distortion of npeg and the common codecs on the 24 Kodak photographs, the report, and times.
#   sh runs/kodak.sh FOLDER_OF_KODAK [WORKING_FOLDER]
# The published rows came from these commands in several interrupted parts (the rivals first, npeg
# later, into one store), not from one pass of this script. Goes on where it was interrupted. The photographs: https://r0k.us/graphics/kodak/
set -eu
kodak=${1:?give the folder of the 24 Kodak PNG files}
out=${2:-build/kodak}
here=$(dirname "$0")
npeg bench --images "$kodak" --out "$out" --codecs npeg,jpeg,webp,avif \
    --metrics psnr,psnr-y,ms-ssim,ssimulacra2 --report
cp "$out/results.tsv" "$here/kodak.tsv"
cp "$out/bd-rates.tsv" "$here/kodak-bd-rates.tsv"
cp "$out/rd-psnr.png" "$here/kodak-rd-psnr.png"

# Times: two threads, best of three, eight photographs, one codec after the other.
eight=$(for i in 02 05 08 11 14 17 20 23; do echo "$kodak/kodim$i.png"; done)
# shellcheck disable=SC2086
npeg bench --images $eight --out "$out/times" --codecs npeg,avif,webp,jpeg --qualities 30,50,70 \
    --metrics psnr,time --threads 2 --repeats 3
cp "$out/times/results.tsv" "$here/times.tsv"
