#!/bin/sh
# Rate and distortion of every codec of the bench on the 24 Kodak photographs: rows, BD-rates, the
# report with all of them, and plots of the main ones.
#   sh results/kodak.sh FOLDER_OF_KODAK [WORKING_FOLDER]
# Goes on where it was interrupted. On two cores npeg, JPEG, WebP and AVIF take 6 minutes,
# all the others an hour, most of it VVC and AVIF at speed 4. The published rows came from these commands
# in several interrupted parts, into one store, not from one pass of this script.
# Where only npeg has changed: fill_store.py takes the other rows from the table first.
# The photographs: https://r0k.us/graphics/kodak/
set -eu
kodak=${1:?give the folder of the 24 Kodak PNG files}
out=${2:-build/kodak}
here=$(dirname "$0")
npeg=${NPEG:-npeg}
fast=npeg,npeg/effort=0,npeg/tune=psnr,jpeg,webp,avif,jpeg2000,jxl,mozjpeg,jpegli,hevc
avif=avif/tune=psnr,avif/subsampling=4:2:0,avif/speed=8,avif/speed=4
$npeg bench --images "$kodak" --out "$out" --report --pictures 0 \
    --codecs "$fast,$avif,vvc,dct,dft,dither,dither8,png,webp-lossless,jxl-lossless"
cp "$out/results.tsv" "$here/kodak.tsv"
cp "$out/bd-rates.tsv" "$here/kodak-bd-rates.tsv"
cp "$out/report.html" "$here/kodak-report.html"
$npeg bench --images "$kodak" --out "$out" --report "$out/main" --pictures 0 \
    --codecs npeg,npeg/tune=psnr,jpeg,webp,avif,jxl,hevc,vvc
for metric in psnr ms-ssim ssimulacra2; do
    cp "$out/main/rd-$metric.png" "$here/kodak-rd-$metric.png"
done
# What agrees best with people, and nothing here was trained on, for the codecs that people choose between.
$npeg bench --images "$kodak" --out "$out" --report "$out/judges" --pictures 0 \
    --codecs npeg,npeg/tune=psnr,avif,jxl \
    --metrics psnr,ms-ssim,ssimulacra2,iw-ssim,vmaf-neg,butteraugli
cp "$out/results.tsv" "$here/kodak-judges.tsv"
cp "$out/judges/bd-rates.tsv" "$here/kodak-judges-bd-rates.tsv"
