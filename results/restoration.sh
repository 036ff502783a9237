#!/bin/sh
# Everything that is published on restoration: strengths, the field's table, colour, times.
#   sh results/restoration.sh VAL LIVE1 CLASSIC5 KODAK [WORKING_FOLDER]
# VAL is for choosing strengths; the others only for measuring. Some hours on two cores, most of them
# waifu2x and FFDNet; rows that are in the tables already are not measured again.
set -eu
val=${1:?give the folder of photographs to choose strengths on}
live1=${2:?give the folder of LIVE1}
classic5=${3:?give the folder of Classic5}
kodak=${4:?give the folder of the 24 Kodak PNG files}
out=${5:-build/restoration}
here=$(dirname "$0")
npeg=${NPEG:-npeg}
${PYTHON:-python} "$here/restoration.py" tune "$val"
${PYTHON:-python} "$here/restoration.py" table "$live1" "$classic5"
$npeg bench --images "$kodak" --out "$out/kodak" --codecs jpeg,webp,npeg --qualities 10,20,30,40 \
    --enhance restorer,spp,recompression --metrics psnr,psnr-b,ssim,ms-ssim,ssimulacra2
cp "$out/kodak/gains.tsv" "$here/kodak-restoration.tsv"
$npeg bench --images "$kodak/kodim05.png" --out "$out/times" --codecs jpeg --qualities 20 --enhance \
    --metrics psnr,time --threads 2
cp "$out/times/gains.tsv" "$here/restoration-times.tsv"
mkdir -p "$out/large"
${PYTHON:-python} -c "import sys; from PIL import Image; Image.effect_noise((4000, 3000), 40).convert(
'RGB').save(sys.argv[1])" "$out/large/noise.png"
$npeg bench --images "$out/large/noise.png" --out "$out/large" --codecs jpeg --qualities 20 \
    --enhance restorer --metrics psnr,memory --threads 2
cp "$out/large/results.tsv" "$here/restoration-memory.tsv"
