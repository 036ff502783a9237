/**
 * SSIMULACRA2: two pictures to a score of how alike they look. As npeg/bench/metrics/ssimulacra2.py.
 *
 * Enters: opaque sRGB pixels, (H, W, 4). Leaves: 100 for no difference, about 70 for high quality,
 * below 0 for very low. It goes through the pictures strip by strip, so that they may be large.
 *
 * Source: libjxl, `tools/ssimulacra2.cc` of 2023, and `opsin_params.h`.
 *
 * @typedef {{width: number, height: number, row: (y: number, plane: number) => Float32Array}} Linear
 *   rows of linear light, 0..1, each valid until the next call
 */

const SCALES = 6;
const SMALLEST_SIDE = 8;
const C2 = 0.0009; // keeps SSIM's ratio finite where both pictures are flat
const REACH = 4; // pixels that a weight of the blur is away, at most
const STRIP = 32; // rows that are compared together
const BIAS = 0.0037930732552754493;
const BLACK = Math.cbrt(BIAS);
/** What the eye's three kinds of cones take of linear R, G, B. */
const LONG = [0.3, 0.622, 0.078];
const MIDDLE = [0.23, 0.692, 0.078];
const SHORT = [0.24342268924547819, 0.20476744424496821, 0.5518098665095536];
/** The weights of the reference's recursive filter: Charalampidis 2016, equations 37 to 57. */
const TAPS = [0.26462110548819856, 0.2129285920104222, 0.10933537277746032, 0.036011114658364374, 0.0094143678096537];
/** [place, weight] of each term that counts; by plane, scale, mean or 4-norm, map. */
const WEIGHTS = [
  [1, 0.0007376606707406586], [4, 0.0007793481682867309], [7, 0.0004371155730107379], [9, 1.1041726426657346],
  [10, 0.00066284834129271], [11, 0.00015231632783718752], [13, 0.0016406437456599754], [15, 1.8422455520539298],
  [16, 11.441172603757666], [18, 0.0007989109436015163], [19, 0.000176816438078653], [21, 1.8787594979546387],
  [22, 10.94906990605142], [24, 0.0007289346991508072], [25, 0.9677937080626833], [27, 0.00014003424285435884],
  [28, 0.9981766977854967], [29, 0.00031949755934435053], [30, 0.0004550992113792063], [33, 0.0013648766163243398],
  [39, 7.466890328078848], [41, 17.445833984131262], [42, 0.0006235601634041466], [45, 6.683678146179332],
  [46, 0.00037724407979611296], [47, 1.027889937768264], [48, 225.20515300849274], [51, 19.213238186143016],
  [52, 0.0011401524586618361], [53, 0.001237755635509985], [54, 176.39317598450694], [57, 24.43300999870476],
  [58, 0.28520802612117757], [59, 0.0004485436923833408], [63, 34.77906344483772], [64, 44.835625328877896],
  [73, 0.0008680556573291698], [79, 0.0005313191874358747], [81, 0.00016533814161379112], [87, 0.0004179171803251336],
  [88, 0.0017290828234722833], [90, 0.0020827005846636437], [93, 8.826982764996862], [94, 23.19243343998926],
  [96, 95.1080498811086], [97, 0.9863978034400682], [98, 0.9834382792465353], [99, 0.0012286405048278493],
  [100, 171.2667255897307], [101, 0.9807858872435379], [105, 0.0005130064588990679], [107, 0.00010854057858411537],
];
const TO_LINEAR = Float32Array.from({ length: 256 }, (_, i) => {
  const v = i / 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
});

/**
 * Compare two pictures of one size.
 * @param {ImageData} first opaque, as is the other
 * @param {ImageData} second
 * @returns {?number} null where a side is under 8 pixels, for which it is not defined
 */
export function ssimulacra2(first, second) {
  if (Math.min(first.width, first.height) < SMALLEST_SIDE) return null;
  let [a, b] = [linearOf(first), linearOf(second)];
  const terms = [];
  while (terms.length < SCALES) {
    terms.push(termsOf(a, b));
    if (terms.length === SCALES || Math.min(a.width, a.height) < SMALLEST_SIDE) break;
    [a, b] = [halved(a), halved(b)];
  }
  let x = 0;
  for (const [place, weight] of WEIGHTS) {
    const plane = Math.floor(place / 6 / terms.length);
    if (plane < 3) x += weight * terms[Math.floor(place / 6) % terms.length][6 * plane + (place % 6)];
  }
  x *= 0.9562382616834844;
  x = 2.326765642916932 * x - 0.020884521182843837 * x ** 2 + 6.248496625763138e-5 * x ** 3;
  return 100 - 10 * Math.max(x, 0) ** 0.6276336467831387;
}

/** Return the linear light of pixels (H, W, 4). */
function linearOf({ data, width, height }) {
  const line = new Float32Array(width);
  const row = (y, plane) => {
    for (let x = 0, at = 4 * y * width + plane; x < width; x++, at += 4) line[x] = TO_LINEAR[data[at]];
    return line;
  };
  return { width, height, row };
}

/** Return the means of blocks of 2x2; an odd side repeats its last line. */
function halved(picture) {
  const [width, height] = [Math.ceil(picture.width / 2), Math.ceil(picture.height / 2)];
  const planes = [0, 1, 2].map(() => new Float32Array(width * height));
  for (let y = 0; y < picture.height; y++) {
    const repeated = y === picture.height - 1 && y % 2 === 0 ? 2 : 1;
    for (const [plane, values] of planes.entries()) {
      const line = picture.row(y, plane);
      const at = (y >> 1) * width;
      for (let x = 0; x < width; x++) {
        const right = 2 * x + 1 < line.length ? line[2 * x + 1] : line[2 * x];
        values[at + x] += 0.25 * repeated * (line[2 * x] + right);
      }
    }
  }
  return { width, height, row: (y, plane) => planes[plane].subarray(y * width, (y + 1) * width) };
}

/**
 * Compare two pictures at one scale.
 * @returns {Float64Array} (3, 2, 3): for each plane the mean, then the 4-norm, of three maps: what
 *   SSIM misses, edges that are new in the second, edges that it lost
 */
function termsOf(a, b) {
  const { width, height } = a;
  const sums = new Float64Array(18);
  const rows = STRIP + 2 * REACH;
  const buffer = () => new Float32Array(rows * width);
  const [planes, blurred] = [3, 5].map((count) => () => Array.from({ length: count }, buffer));
  const strips = { a: planes(), b: planes(), blurred: blurred(), half: buffer(), product: buffer() };
  strips.line = new Float32Array(width + 2 * REACH); // with zeros at both ends
  for (let top = 0; top < height; top += STRIP) {
    const bottom = Math.min(top + STRIP, height);
    fillXyb(strips.a, a, top - REACH, bottom + REACH);
    fillXyb(strips.b, b, top - REACH, bottom + REACH);
    for (let plane = 0; plane < 3; plane++) addMaps(sums, strips, plane, bottom - top, width);
  }
  return sums.map((sum, i) => (i % 6 < 3 ? sum / (width * height) : (sum / (width * height)) ** 0.25));
}

/** Fill strips with rows of XYB, moved to be positive, with blue less yellow for B; beyond the picture 0. */
function fillXyb(strips, picture, top, bottom) {
  const { width, height } = picture;
  const lines = [0, 1, 2].map(() => new Float32Array(width));
  for (let y = top, at = 0; y < bottom; y++, at += width) {
    if (y < 0 || y >= height) {
      for (const strip of strips) strip.fill(0, at, at + width);
      continue;
    }
    lines.forEach((line, plane) => line.set(picture.row(y, plane)));
    for (let x = 0; x < width; x++) {
      const long = cone(LONG, lines[0][x], lines[1][x], lines[2][x]);
      const middle = cone(MIDDLE, lines[0][x], lines[1][x], lines[2][x]);
      const light = (long + middle) / 2;
      strips[0][at + x] = 7 * (long - middle) + 0.42;
      strips[1][at + x] = light + 0.01;
      strips[2][at + x] = cone(SHORT, lines[0][x], lines[1][x], lines[2][x]) - light + 0.55;
    }
  }
}

/** Return what one kind of cones makes of linear light: its cube root, and 0 for black. */
function cone(shares, red, green, blue) {
  return Math.cbrt(shares[0] * red + shares[1] * green + shares[2] * blue + BIAS) - BLACK;
}

/** Add what the maps of a strip of one plane sum to. */
function addMaps(sums, strips, plane, rows, width) {
  const [a, b] = [strips.a[plane], strips.b[plane]];
  const [meanA, meanB, squareA, squareB, both] = strips.blurred;
  for (const [out, first, second] of [[meanA, a], [meanB, b], [squareA, a, a], [squareB, b, b], [both, a, b]]) {
    blur(out, first, second, strips, rows, width);
  }
  const found = sums.subarray(6 * plane, 6 * plane + 6);
  for (let i = 0, at = REACH * width; i < rows * width; i++, at++) {
    const p = meanA[i];
    const q = meanB[i];
    const contrast = 2 * (both[i] - p * q) + C2;
    const spread = squareA[i] - p * p + squareB[i] - q * q + C2;
    const apart = p - q;
    const dissimilar = Math.max(1 - ((1 - apart * apart) * contrast) / spread, 0);
    const edges = (1 + Math.abs(b[at] - q)) / (1 + Math.abs(a[at] - p)) - 1;
    const squared = edges * edges;
    found[0] += dissimilar;
    found[edges > 0 ? 1 : 2] += Math.abs(edges);
    found[3] += dissimilar * dissimilar * (dissimilar * dissimilar); // ** takes far longer
    found[edges > 0 ? 4 : 5] += squared * squared;
  }
}

/** Weigh a strip, or the product of two, with a Gaussian into `out`, without its margins. */
function blur(out, first, second, { half, product, line }, rows, width) {
  const count = (rows + 2 * REACH) * width;
  let source = first;
  if (second) {
    for (let i = 0; i < count; i++) product[i] = first[i] * second[i];
    source = product;
  }
  weigh(half, source, width, rows * width);
  for (let start = 0; start < rows * width; start += width) {
    line.set(half.subarray(start, start + width), REACH);
    weigh(out.subarray(start), line, 1, width);
  }
}

/** Fill `out` (n,) from values (n + 8 * stride,), weighing those `stride` apart. */
function weigh(out, values, stride, count) {
  const [t0, t1, t2, t3, t4] = TAPS;
  for (let i = 0, at = REACH * stride; i < count; i++, at++) {
    out[i] =
      t0 * values[at] +
      t1 * (values[at - stride] + values[at + stride]) +
      t2 * (values[at - 2 * stride] + values[at + 2 * stride]) +
      t3 * (values[at - 3 * stride] + values[at + 3 * stride]) +
      t4 * (values[at - 4 * stride] + values[at + 4 * stride]);
  }
}
