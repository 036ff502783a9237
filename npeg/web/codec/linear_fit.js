/**
 * Weights of the linear prediction of a plane, by weighted least squares.
 *
 * Enters: a plane. Leaves: 8 weights of 1/128. Knows no payloads.
 */

import { NEIGHBOURS } from "./diagonals.js";
import { LINEAR, WEIGHT_BITS } from "./planes.js";

const SIZE = LINEAR.length;
const FIRST = LINEAR.map((_, i) => (i < 2 ? 0.5 : 0)); // the mean of two neighbours
const COMPARED = 4; // neighbours that a pixel is matched with
const FEWEST = 64; // pixels to fit a prediction to
const MOST = 1 << 14; // pixels that it is fitted to, about
const ROUNDS = 3; // of fitting, each with less weight for what is far off
const RIDGE = 1e-3; // a pixel: how much the fit holds to the mean of two neighbours

/**
 * Return weights (8,) that predict a plane (H, W), or its pixels unlike all neighbours.
 * @param {Int32Array} plane
 * @param {number} height
 * @param {number} width
 * @param {boolean} matching whether pixels like a neighbour are coded otherwise
 * @returns {Int16Array}
 */
export function fit(plane, height, width, matching) {
  const { near, pixels } = samplesOf(plane, height, width, matching);
  let share = FIRST;
  for (let round = 0; pixels.length >= FEWEST && round < ROUNDS; round++) {
    share = solved(equationsOf(near, pixels, round ? share : null));
  }
  const unit = 1 << WEIGHT_BITS;
  return Int16Array.from(share, (one) => Math.min(Math.max(Math.round(one * unit), -32 * unit), 32 * unit));
}

/** Return some pixels within a plane, and of each its neighbours one after another. */
function samplesOf(plane, height, width, matching) {
  const offsets = LINEAR.map((i) => {
    const [back, up] = NEIGHBOURS[i];
    return -up * width - back + 2 * up;
  });
  const [near, pixels] = [[], []];
  for (let row = 2; row < height; row += 1 + Math.floor(plane.length / MOST)) {
    for (let at = row * width + 2; at < (row + 1) * width - 2; at++) {
      const isLike = (offset) => plane[at + offset] === plane[at];
      if (matching && offsets.slice(0, COMPARED).some(isLike)) continue;
      for (const offset of offsets) near.push(plane[at + offset]);
      pixels.push(plane[at]);
    }
  }
  return { near: Float64Array.from(near), pixels: Float64Array.from(pixels) };
}

/** Return the normal equations, (8, 9): pixels far from what `share` predicts, if given, weigh less. */
function equationsOf(near, pixels, share) {
  const ridge = pixels.length * RIDGE;
  const matrix = FIRST.map((wanted, i) => {
    const row = new Float64Array(SIZE + 1); // the last is what they shall give
    row[i] = ridge;
    row[SIZE] = ridge * wanted;
    return row;
  });
  for (let at = 0, from = 0; at < pixels.length; at++, from += SIZE) {
    let error = pixels[at];
    for (let i = 0; share && i < SIZE; i++) error -= share[i] * near[from + i];
    const weight = share ? Math.max(1, Math.abs(error)) ** -0.7 : 1;
    for (let i = 0; i < SIZE; i++) {
      const weighted = weight * near[from + i];
      for (let j = 0; j < SIZE; j++) matrix[i][j] += weighted * near[from + j];
      matrix[i][SIZE] += weighted * pixels[at];
    }
  }
  return matrix;
}

/** Solve equations, each a row of factors and what they shall give; the matrix is positive definite. */
function solved(rows) {
  for (let i = 0; i < SIZE; i++) {
    for (let k = 0; k < SIZE; k++) {
      const factor = rows[k][i] / rows[i][i];
      for (let j = i; k !== i && j <= SIZE; j++) rows[k][j] -= factor * rows[i][j];
    }
  }
  return rows.map((row, i) => row[SIZE] / row[i]);
}
