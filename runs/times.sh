#!/bin/sh
# Times of each codec near 0.6 bits per pixel, of npeg and AVIF at more rates, on four Kodak
# photographs: two threads, best of eight (HEVC four, AVIF at speed 4 three, VVC one), one codec
# after the other, nothing else running.
#   sh runs/times.sh FOLDER_OF_KODAK [WORKING_FOLDER]
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
