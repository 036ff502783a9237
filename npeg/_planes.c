/* The way of npeg/planes.py over the diagonals, compiled for reading: the same integers.
 *
 * npeg runs without this module, by NumPy, which is the reference. Payloads are not trusted: every
 * table row is checked, words and symbols are counted, and all that is allocated follows from the
 * size of the planes. Comments name the functions of planes.py that they transcribe.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include "_adaptive.h"

enum { BACK = 7, MARGIN = 3, RUN = 16, NEAR = 12, LINEAR = 8, LEVELS = 3, CERTAIN = 7 };
enum { WEST, NORTH, NORTH_EAST, NORTH_WEST, OTHER, GUESS };
enum { PATTERN_ROWS = 1024, FLAG_ROW = PATTERN_ROWS + 64 * (CERTAIN + 1) * LEVELS };
enum { BROKEN_ROW = FLAG_ROW + 1, ALL_EQUAL = 511, CONTEXTS = 12, DIRECT_ROWS = 64 };
enum { HASH_BITS = 16, VALUE_BITS = 18, WEIGHT_BITS = 7 };
static const int64_t MIX = 0x2C1B3C6D, VALUE_MASK = (1 << VALUE_BITS) - 1, VALUE_SIGN = 1 << (VALUE_BITS - 1);

static const char *const NOT_AT_END = "does not end with its symbols: %zd words are left";

/* w, n, ne, nw, ww, nn, nne, nww, nnee, www, nnw, nnn: diagonals back, rows up */
static const int NEIGHBOURS[NEAR][2] = {{1, 0}, {2, 1}, {1, 1}, {3, 1}, {2, 0}, {4, 2},
                                        {3, 2}, {4, 1}, {2, 2}, {3, 0}, {5, 2}, {6, 3}};
static const int IN_LINEAR[LINEAR] = {0, 1, 3, 2, 4, 5, 6, 7};
static const int PAIRS[9][2] = {{0, 1}, {0, 3}, {0, 2}, {1, 3}, {1, 2}, {4, 0}, {5, 1}, {6, 2}, {7, 3}};

typedef struct {
    Reader reader;
    Py_ssize_t channels, height;
    int64_t *values, *codes; /* of the last BACK diagonals, MARGIN rows of 0 first */
    int64_t *guess_code, *guess_hits;
    const int64_t *templates, *weights, *low, *high, *context_of_activity, *low_bits, *first_value;
    Py_ssize_t activities;
    int matching, guessing, direct, coarseness;
    /* of one diagonal */
    int64_t *rows, *symbols, *found, *guess, *places, *hits, *expected;
    Py_ssize_t *mixed, *flat, *others;
} Walk;

/* Symbols of what walk->rows[0..n) say that pixels equal, into walk->symbols */
static int read_matches_of(Walk *walk, Py_ssize_t n) {
    return read_symbols(&walk->reader, &walk->reader.matches, walk->rows, walk->symbols, n);
}

/* _tokens: values of walk->rows[0..n) into walk->found */
static int read_values(Walk *walk, Py_ssize_t n) {
    if (read_symbols(&walk->reader, &walk->reader.tokens, walk->rows, walk->symbols, n) < 0) return -1;
    int64_t widest = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        walk->found[i] = walk->first_value[walk->symbols[i]];
        if (walk->low_bits[walk->symbols[i]] > widest) widest = walk->low_bits[walk->symbols[i]];
    }
    for (int higher = 0; widest > higher * RAW_AT_ONCE && higher < 2; higher++)
        if (read_bits(&walk->reader, walk->low_bits, walk->symbols, walk->found, n, higher) < 0) return -1;
    return 0;
}

static int64_t *past_values(Walk *walk, int64_t t, int back, Py_ssize_t channel) {
    return walk->values + ((t - back + BACK) % BACK * walk->channels + channel) * (walk->height + MARGIN);
}

static int64_t *past_codes(Walk *walk, int64_t t, int back) {
    return walk->codes + (t - back + BACK) % BACK * (walk->height + MARGIN);
}

static int64_t distance(int64_t a, int64_t b) { return a > b ? a - b : b - a; }

/* _activity */
static int64_t activity(const Walk *walk, const int64_t *near) {
    int64_t w = near[0], n = near[1], nw = near[2], ne = near[3], ww = near[4], nn = near[5];
    int64_t sum = distance(w, nw) + distance(n, nw) + distance(n, ne) + distance(ww, w) + distance(nn, n);
    sum >>= walk->coarseness;
    return walk->context_of_activity[sum < walk->activities ? sum : walk->activities - 1];
}

/* _Walk._prediction */
static int64_t predict(const Walk *walk, const int64_t *near, Py_ssize_t channel) {
    int64_t w = near[0], n = near[1], nw = near[2];
    if (!walk->weights) {
        int64_t low = w < n ? w : n, high = w < n ? n : w, middle = w + n - nw;
        return middle < low ? low : middle > high ? high : middle;
    }
    int64_t total = 1 << (WEIGHT_BITS - 1);
    for (int k = 0; k < LINEAR; k++) total += walk->weights[channel * LINEAR + k] * near[k];
    total >>= WEIGHT_BITS;
    int64_t low = walk->low[channel], high = walk->high[channel];
    return total < low ? low : total > high ? high : total;
}

/* _Walk._differences: of pixels others[0..n) of the diagonal t whose first row is `first` */
static int read_differences(Walk *walk, int64_t t, Py_ssize_t first, Py_ssize_t n) {
    Py_ssize_t at = 0;
    for (Py_ssize_t channel = 0; channel < walk->channels; channel++)
        for (Py_ssize_t i = 0; i < n; i++, at++) {
            Py_ssize_t row = first + walk->others[i] + MARGIN;
            int64_t near[LINEAR];
            for (int k = 0; k < (walk->direct ? 1 : LINEAR); k++) {
                const int *from = NEIGHBOURS[IN_LINEAR[k]];
                near[k] = past_values(walk, t, from[0], channel)[row - from[1]];
            }
            if (walk->direct) {
                walk->rows[at] = near[0] < DIRECT_ROWS - 1 ? near[0] : DIRECT_ROWS - 1;
                walk->expected[at] = 0;
            } else {
                walk->rows[at] = activity(walk, near) + CONTEXTS * channel;
                walk->expected[at] = predict(walk, near, channel);
            }
        }
    if (read_values(walk, at) < 0) return -1;
    at = 0;
    for (Py_ssize_t channel = 0; channel < walk->channels; channel++)
        for (Py_ssize_t i = 0; i < n; i++, at++) {
            int64_t folded = walk->found[at];
            int64_t value = walk->direct ? folded : folded & 1 ? -((folded + 1) >> 1) : folded >> 1;
            past_values(walk, t, 0, channel)[first + walk->others[i] + MARGIN] = walk->expected[at] + value;
        }
    return 0;
}

/* _Guesses.look_up, for pixel i of the diagonal, the m-th that is mixed; returns its table's row */
static int64_t look_up(Walk *walk, const int64_t *near, Py_ssize_t i, Py_ssize_t m, int64_t row) {
    int level = -1;
    for (int k = 0; k < LEVELS; k++) {
        uint64_t sum = 0;
        for (int j = 0; j < NEAR; j++) sum += (uint64_t)walk->templates[k * NEAR + j] * (uint64_t)near[j];
        int64_t place = ((int64_t)(sum * (uint64_t)MIX) >> 24) & ((1 << HASH_BITS) - 1);
        walk->places[m * LEVELS + k] = place += (int64_t)k << HASH_BITS;
        if (level < 0 && walk->guess_code[place] >= 0) level = k;
    }
    if (level < 0) return row;
    int64_t place = walk->places[m * LEVELS + level], guess = walk->guess_code[place];
    int64_t w = near[0], n = near[1], ne = near[2], nw = near[3];
    walk->guess[i] = guess;
    int64_t shape = (guess == w) | (guess == n) << 1 | (guess == ne) << 2 | (guess == nw) << 3;
    shape |= (w == n) << 4 | (n == ne) << 5;
    return PATTERN_ROWS + shape + 64 * (walk->guess_hits[place] + (CERTAIN + 1) * level);
}

/* _Guesses.learn: all hits are told by what was there before the diagonal */
static void learn(Walk *walk, const int64_t *codes, Py_ssize_t mixed) {
    for (Py_ssize_t at = 0; at < mixed * LEVELS; at++) {
        int64_t place = walk->places[at], hits = walk->guess_hits[place] + 1;
        int hit = walk->guess_code[place] == codes[walk->mixed[at / LEVELS]];
        walk->hits[at] = !hit ? 0 : hits < CERTAIN ? hits : CERTAIN;
    }
    for (Py_ssize_t at = 0; at < mixed * LEVELS; at++) {
        walk->guess_hits[walk->places[at]] = walk->hits[at];
        walk->guess_code[walk->places[at]] = codes[walk->mixed[at / LEVELS]];
    }
}

/* _Walk._runs: of the pixels flat[0..n), whose neighbours are equal; which[i] is what i equals */
static int read_runs(Walk *walk, Py_ssize_t n, int64_t *which) {
    Py_ssize_t runs = (n + RUN - 1) / RUN, broken = 0;
    for (Py_ssize_t i = 0; i < runs; i++) walk->rows[i] = FLAG_ROW;
    if (read_matches_of(walk, runs) < 0) return -1;
    for (Py_ssize_t i = 0; i < n; i++)
        if (walk->symbols[i / RUN]) walk->flat[broken++] = walk->flat[i];
    for (Py_ssize_t i = 0; i < broken; i++) walk->rows[i] = BROKEN_ROW;
    if (read_matches_of(walk, broken) < 0) return -1;
    for (Py_ssize_t i = 0; i < broken; i++) which[walk->flat[i]] = walk->symbols[i];
    return 0;
}

/* _Walk._matches: what each of n pixels equals into which[]; returns how many are mixed, or -1 */
static Py_ssize_t read_matches(Walk *walk, int64_t t, Py_ssize_t first, Py_ssize_t n, int64_t *which) {
    Py_ssize_t mixed = 0, flat = 0;
    const int64_t *past[NEAR];
    for (int k = 0; k < NEAR; k++)
        past[k] = past_codes(walk, t, NEIGHBOURS[k][0]) + first + MARGIN - NEIGHBOURS[k][1];
    /* walk->expected holds the mixed pixels' rows until the runs are read */
    for (Py_ssize_t i = 0; i < n; i++) {
        int64_t near[NEAR], pattern = 0;
        for (int k = 0; k < NEAR; k++) near[k] = past[k][i];
        for (int bit = 0; bit < 9; bit++) pattern |= (near[PAIRS[bit][0]] == near[PAIRS[bit][1]]) << bit;
        which[i] = WEST;
        walk->guess[i] = -1;
        if (pattern == ALL_EQUAL) {
            walk->flat[flat++] = i;
            continue;
        }
        int64_t row = pattern + 512 * (near[0] != 0);
        walk->expected[mixed] = walk->guessing ? look_up(walk, near, i, mixed, row) : row;
        walk->mixed[mixed++] = i;
    }
    if (flat && read_runs(walk, flat, which) < 0) return -1;
    memcpy(walk->rows, walk->expected, mixed * sizeof(int64_t));
    if (read_matches_of(walk, mixed) < 0) return -1;
    for (Py_ssize_t i = 0; i < mixed; i++) which[walk->mixed[i]] = walk->symbols[i];
    return mixed;
}

/* Put the values that a code is made of at a pixel of the diagonal (_values_of). */
static void put_code(Walk *walk, int64_t t, Py_ssize_t row, int64_t code) {
    for (Py_ssize_t channel = 0; channel < walk->channels; channel++) {
        int64_t value = code >> VALUE_BITS * channel & VALUE_MASK;
        past_values(walk, t, 0, channel)[row] = (value ^ VALUE_SIGN) - VALUE_SIGN;
    }
}

/* _code_of, of a pixel of the diagonal */
static int64_t code_at(Walk *walk, int64_t t, Py_ssize_t row) {
    int64_t code = 0;
    for (Py_ssize_t channel = 0; channel < walk->channels; channel++)
        code |= (past_values(walk, t, 0, channel)[row] & VALUE_MASK) << VALUE_BITS * channel;
    return code;
}

/* _Walk._diagonal */
static int read_diagonal(Walk *walk, int64_t t, Py_ssize_t first, Py_ssize_t n, int64_t *which) {
    Py_ssize_t mixed = 0, others = 0;
    if (walk->matching && (mixed = read_matches(walk, t, first, n, which)) < 0) return -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!walk->matching || which[i] == OTHER) walk->others[others++] = i;
        else {
            const int *from = NEIGHBOURS[which[i] < OTHER ? which[i] : 0];
            int64_t code = past_codes(walk, t, from[0])[first + i + MARGIN - from[1]];
            put_code(walk, t, first + i + MARGIN, which[i] == GUESS ? walk->guess[i] : code);
        }
    }
    if (others && read_differences(walk, t, first, others) < 0) return -1;
    int64_t *codes = past_codes(walk, t, 0) + first + MARGIN;
    for (Py_ssize_t i = 0; i < n; i++) codes[i] = code_at(walk, t, first + i + MARGIN);
    if (walk->matching && walk->guessing) learn(walk, codes, mixed);
    return 0;
}

/* _Walk.run */
static int run(Walk *walk, int32_t *planes, Py_ssize_t width, int64_t *which) {
    Py_ssize_t height = walk->height, side = height + MARGIN;
    for (Py_ssize_t t = 0; t < width + 2 * height - 2; t++) {
        Py_ssize_t first = t < width ? 0 : (t - width + 2) / 2, last = t / 2 < height ? t / 2 : height - 1;
        refresh(&walk->reader);
        memset(past_values(walk, t, 0, 0), 0, walk->channels * side * sizeof(int64_t));
        memset(past_codes(walk, t, 0), 0, side * sizeof(int64_t));
        if (last < first) continue;
        if (read_diagonal(walk, t, first, last - first + 1, which) < 0) return -1;
        for (Py_ssize_t channel = 0; channel < walk->channels; channel++) {
            const int64_t *values = past_values(walk, t, 0, channel) + MARGIN;
            for (Py_ssize_t row = first; row <= last; row++)
                planes[(channel * height + row) * width + t - 2 * row] = (int32_t)values[row];
        }
    }
    return 0;
}

/* --- Python --- */

/* Carve n items of a size out of a block of zeros that is allocated once; count alone without one. */
static void *carve(char *block, size_t *used, size_t n, size_t size) {
    void *found = block ? block + *used : NULL;
    *used += (n * size + 15) / 16 * 16;
    return found;
}

static void lay_out_tables(Tables *tables, char *block, size_t *used) {
    size_t cells = tables->rows * tables->width;
    tables->fresh = carve(block, used, cells, sizeof(int64_t));
    tables->frequency = carve(block, used, cells, sizeof(int64_t));
    tables->start = carve(block, used, cells, sizeof(int64_t));
    tables->symbol_of_slot = carve(block, used, tables->width > FEW ? tables->rows << PRECISION : 0, 1);
}

static size_t lay_out(Walk *walk, char *block, int64_t **which) {
    size_t used = 0, side = walk->height + MARGIN, n = walk->height, c = walk->channels;
    lay_out_tables(&walk->reader.matches, block, &used);
    lay_out_tables(&walk->reader.tokens, block, &used);
    walk->values = carve(block, &used, BACK * c * side, sizeof(int64_t));
    walk->codes = carve(block, &used, BACK * side, sizeof(int64_t));
    walk->guess_code = carve(block, &used, (size_t)LEVELS << HASH_BITS, sizeof(int64_t));
    walk->guess_hits = carve(block, &used, (size_t)LEVELS << HASH_BITS, sizeof(int64_t));
    walk->rows = carve(block, &used, c * n, sizeof(int64_t));
    walk->symbols = carve(block, &used, c * n, sizeof(int64_t));
    walk->found = carve(block, &used, c * n, sizeof(int64_t));
    walk->expected = carve(block, &used, c * n, sizeof(int64_t));
    walk->guess = carve(block, &used, n, sizeof(int64_t));
    walk->places = carve(block, &used, LEVELS * n, sizeof(int64_t));
    walk->hits = carve(block, &used, LEVELS * n, sizeof(int64_t));
    walk->mixed = carve(block, &used, n, sizeof(Py_ssize_t));
    walk->flat = carve(block, &used, n, sizeof(Py_ssize_t));
    walk->others = carve(block, &used, n, sizeof(Py_ssize_t));
    *which = carve(block, &used, n, sizeof(int64_t));
    return used;
}

static const char *read_planes(Walk *walk, int32_t *planes, Py_ssize_t width) {
    int64_t *which;
    char *block = calloc(1, lay_out(walk, NULL, &which));
    if (!block) return "needs more memory than there is";
    lay_out(walk, block, &which);
    for (Py_ssize_t row = 0; row < walk->reader.matches.rows; row++) rebuild(&walk->reader.matches, row);
    for (Py_ssize_t row = 0; row < walk->reader.tokens.rows; row++) rebuild(&walk->reader.tokens, row);
    for (Py_ssize_t i = 0; i < (Py_ssize_t)LEVELS << HASH_BITS; i++) walk->guess_code[i] = -1;
    int done = run(walk, planes, width, which);
    for (Py_ssize_t lane = 0; !done && lane < walk->reader.lanes; lane++)
        if (walk->reader.states[lane] != LOWEST_STATE) done = -1;
    free(block);
    if (walk->reader.wrong) return walk->reader.wrong;
    return done || walk->reader.read != walk->reader.words ? NOT_AT_END : NULL;
}

static int sizes_beyond(const Tables *tables, const uint8_t *sizes) {
    for (Py_ssize_t row = 0; row < tables->rows; row++)
        if (!sizes[row] || sizes[row] > tables->width) return 1;
    return 0;
}

/* decode(words u2[], states i8[lanes], planes i4[C * H * W], shape (C, H, W), flags, coarseness,
 *     match_counts i8[], match_sizes u1[], token_counts i8[], token_sizes u1[], templates i8[36],
 *     weights i8[C * 8] or [0], low i8[C], high i8[C], context_of_activity i8[], low_bits i8[],
 *     first_value i8[]) -> None, or what is wrong with the words; states and counts change */
static PyObject *decode(PyObject *self, PyObject *args) {
    enum { WORDS, STATES, PLANES, MATCH_COUNTS, MATCH_SIZES, TOKEN_COUNTS, TOKEN_SIZES, TEMPLATES,
           WEIGHTS, LOW, HIGH, CONTEXT, LOW_BITS, FIRST_VALUE, COUNT };
    static const int sizes[COUNT] = {2, 8, 4, 8, 1, 8, 1, 8, 8, 8, 8, 8, 8, 8};
    PyObject *o[COUNT];
    Py_buffer a[COUNT];
    Py_ssize_t width;
    int flags, borrowed = 0;
    const char *wrong = NULL;
    Walk walk;
    memset(&walk, 0, sizeof walk);
    walk.reader.next = FIRST_REFRESH;
    if (!PyArg_ParseTuple(args, "OOO(nnn)iiOOOOOOOOOOO", o, o + 1, o + 2, &walk.channels, &walk.height,
                          &width, &flags, &walk.coarseness, o + 3, o + 4, o + 5, o + 6, o + 7, o + 8,
                          o + 9, o + 10, o + 11, o + 12, o + 13))
        return NULL;
    for (; borrowed < COUNT && !wrong; borrowed++) {
        int changed = borrowed == STATES || borrowed == PLANES || borrowed == MATCH_COUNTS || borrowed == TOKEN_COUNTS;
        if (PyObject_GetBuffer(o[borrowed], a + borrowed, PyBUF_C_CONTIGUOUS | (changed ? PyBUF_WRITABLE : 0)) < 0) break;
        if (a[borrowed].itemsize != sizes[borrowed]) wrong = "an array has items of another size";
    }
    if (borrowed < COUNT && !wrong) {
        while (borrowed--) PyBuffer_Release(a + borrowed);
        return NULL;
    }
#define ITEMS(i) (a[i].len / a[i].itemsize)
    Py_ssize_t c = walk.channels;
    if (!wrong) {
        walk.reader.matches.rows = ITEMS(MATCH_SIZES), walk.reader.tokens.rows = ITEMS(TOKEN_SIZES);
        if (c < 1 || c > 3 || walk.height < 1 || width < 1 || ITEMS(PLANES) / c / walk.height < width
            || !ITEMS(STATES) || walk.reader.matches.rows != BROKEN_ROW + 1 || !walk.reader.tokens.rows
            || ITEMS(LOW) < c || ITEMS(HIGH) < c || ITEMS(TEMPLATES) < LEVELS * NEAR || !ITEMS(CONTEXT)
            || (ITEMS(WEIGHTS) && ITEMS(WEIGHTS) < c * LINEAR) || walk.coarseness < 0 || walk.coarseness > 32)
            wrong = "an array is too short";
    }
    if (!wrong) {
        walk.reader.matches.width = ITEMS(MATCH_COUNTS) / walk.reader.matches.rows;
        walk.reader.tokens.width = ITEMS(TOKEN_COUNTS) / walk.reader.tokens.rows;
        wrong = sizes_beyond(&walk.reader.matches, a[MATCH_SIZES].buf) || sizes_beyond(&walk.reader.tokens, a[TOKEN_SIZES].buf)
                    ? "a row has more symbols than columns" : NULL;
        if (walk.reader.tokens.width > ITEMS(LOW_BITS) || walk.reader.tokens.width > ITEMS(FIRST_VALUE)) wrong = "an array is too short";
    }
    if (!wrong) {
        walk.reader.payload = a[WORDS].buf, walk.reader.words = a[WORDS].len / 2;
        walk.reader.states = a[STATES].buf, walk.reader.lanes = ITEMS(STATES);
        walk.reader.matches.counts = a[MATCH_COUNTS].buf, walk.reader.matches.sizes = a[MATCH_SIZES].buf;
        walk.reader.tokens.counts = a[TOKEN_COUNTS].buf, walk.reader.tokens.sizes = a[TOKEN_SIZES].buf;
        walk.templates = a[TEMPLATES].buf, walk.weights = ITEMS(WEIGHTS) ? a[WEIGHTS].buf : NULL;
        walk.low = a[LOW].buf, walk.high = a[HIGH].buf;
        walk.context_of_activity = a[CONTEXT].buf, walk.activities = ITEMS(CONTEXT);
        walk.low_bits = a[LOW_BITS].buf, walk.first_value = a[FIRST_VALUE].buf;
        walk.matching = flags & 1, walk.guessing = flags >> 1 & 1, walk.direct = flags >> 2 & 1;
        Py_BEGIN_ALLOW_THREADS
        wrong = read_planes(&walk, a[PLANES].buf, width);
        Py_END_ALLOW_THREADS
    }
    while (borrowed--) PyBuffer_Release(a + borrowed);
    if (wrong == FEW_LANES) return PyUnicode_FromFormat(wrong, walk.reader.lanes, (Py_ssize_t)walk.reader.coded);
    if (wrong == NOT_AT_END) return PyUnicode_FromFormat(wrong, walk.reader.words - walk.reader.read);
    if (wrong) return PyUnicode_FromString(wrong);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"decode", decode, METH_VARARGS, "Read planes, diagonal after diagonal."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "npeg._planes", "The way of npeg/planes.py, compiled.", -1, methods,
};

PyMODINIT_FUNC PyInit__planes(void) { return PyModule_Create(&module); }
