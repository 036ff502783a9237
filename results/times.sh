#!/bin/sh
# Times of each codec near 0.6 bits per pixel, of npeg and AVIF at more rates, on four Kodak
# photographs: two threads, best of eight (HEVC four, AVIF at speed 4 three, VVC one), one codec
# after the other, nothing else running.
# Then npeg and AVIF at one megapixel, the four scaled to 1200x840: megapixel.tsv.
#   sh results/times.sh FOLDER_OF_KODAK [WORKING_FOLDER]
set -eu
kodak=${1:?give the folder of the 24 Kodak PNG files}
out=${2:-build/times}
here=$(dirname "$0")
four=$(for i in 05 11 17 23; do echo "$kodak/kodim$i.png"; done)
first=1
while read -r codec quality repeats; do
    # shellcheck disable=SC2086
    ${NPEG:-npeg} bench --images $four --out "$out" --codecs "$codec" --qualities "$quality" --fresh \
        --metrics psnr,time --threads 2 --repeats "$repeats"
    if [ "$first" = 1 ]; then
        grep -v '^# .*:.*: ' "$out/results.tsv" | grep '^#' > "$here/times.tsv"
        grep '^image' "$out/results.tsv" >> "$here/times.tsv"
        first=0
    fi
    grep -v -e '^#' -e '^image' "$out/results.tsv" >> "$here/times.tsv"
done <<END
npeg 30 8
avif 30 8
npeg 45 8
avif 50 8
npeg 70 8
npeg/effort=0 45 8
avif 70 8
avif/speed=8 50 8
avif/speed=4 50 3
webp 45 8
jpeg 31 8
mozjpeg 43 8
jpegli 36 8
jpeg2000 32 8
jxl 57 8
hevc 17 4
vvc 27 1
END
mkdir -p "$out/megapixel"
# shellcheck disable=SC2086
${PYTHON:-python} -c "import sys; from pathlib import Path; from PIL import Image
for path in sys.argv[2:]:
    photo = Image.open(path)
    size = (1200, 840) if photo.width > photo.height else (840, 1200)
    photo.resize(size, Image.Resampling.LANCZOS).save(Path(sys.argv[1]) / Path(path).name)" \
    "$out/megapixel" $four
${NPEG:-npeg} bench --images "$out/megapixel" --out "$out/large" --codecs npeg,npeg/effort=0,avif --qualities 50 \
    --fresh --metrics psnr,time --threads 2 --repeats 8
cp "$out/large/results.tsv" "$here/megapixel.tsv"
# And what 12 megapixels take in memory: memory.tsv.
mkdir -p "$out/twelve"
${PYTHON:-python} -c "import sys; import numpy as np; from PIL import Image; from skimage.data import astronaut
Image.fromarray(np.tile(astronaut(), (6, 8, 1))[:3000, :4000]).save(sys.argv[1])" "$out/twelve/astronaut-4000x3000.png"
${NPEG:-npeg} bench --images "$out/twelve" --out "$out/memory" --codecs npeg,npeg/effort=0 --qualities 50 \
    --metrics psnr,memory --threads 2
cp "$out/memory/results.tsv" "$here/memory.tsv"
