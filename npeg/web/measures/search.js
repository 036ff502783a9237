/** The largest file of a codec that is not above a size. */

/**
 * Search the quality, 1 to 100, whose file is the largest that is not above a size.
 *
 * Where the smallest file is above it, that one is returned. Sizes are supposed to grow with quality,
 * by about the same factor a step, so that few files are made.
 *
 * @template File
 * @param {(quality: number) => Promise<File>} encode
 * @param {(file: File) => number} sizeOf in bytes
 * @param {number} most bytes
 * @returns {Promise<{file: File, quality: number}>}
 */
export async function largest(encode, sizeOf, most) {
  let found = { file: await encode(1), quality: 1 };
  let below = { quality: 1, log: Math.log(sizeOf(found.file)) };
  let above = { quality: 101, log: null };
  const wanted = Math.log(most);
  for (let tries = 0; below.log <= wanted && above.quality - below.quality > 1; tries++) {
    const quality = guess(below, above, wanted, tries);
    const file = await encode(quality);
    const tried = { quality, log: Math.log(sizeOf(file)) };
    if (tried.log <= wanted) [found, below] = [{ file, quality }, tried];
    else above = tried;
  }
  return found;
}

/** Return a quality between two: where the size should be, then the middle in turns. */
function guess(below, above, wanted, tries) {
  const span = above.quality - below.quality;
  if (above.log === null || tries % 2) return below.quality + Math.floor(span / 2);
  const share = (wanted - below.log) / (above.log - below.log);
  return Math.min(Math.max(below.quality + Math.round(share * span), below.quality + 1), above.quality - 1);
}
