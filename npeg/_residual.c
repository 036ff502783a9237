/* The loops of npeg/residual_order.py, compiled: the same integers; and the inverse transform of
 * npeg/residual.py, to the rounding.
 *
 * npeg runs without this module, by NumPy, which is the reference. It only reads and writes the
 * buffers that it is handed; lengths and indexes are checked here too. Comments name the methods of
 * `Order` that they transcribe.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 8, DIAGONALS = 15, PADDED = SIDE + 2, BINS = 80, CELLS = 4 * BINS, UNIT = 1024 };
enum { MEMORY = 4096, LOOK_BACK = 5, MOST = 1 << 12, CONTEXTS = 1 << 16 };
static const char *SHORT = "an array is too short";

typedef struct {
    Py_buffer views[9];
    int count;
    const char *wrong;
} Arrays;

/* Borrow C-contiguous buffers, sizes[i] bytes an item, negative where it is written to. */
static int borrow(Arrays *arrays, PyObject *const *sources, const int *sizes, int count) {
    arrays->wrong = NULL;
    for (arrays->count = 0; arrays->count < count; arrays->count++) {
        int size = sizes[arrays->count], flags = PyBUF_C_CONTIGUOUS | (size < 0 ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(sources[arrays->count], arrays->views + arrays->count, flags) < 0) {
            while (arrays->count--) PyBuffer_Release(arrays->views + arrays->count);
            return -1;
        }
        if (arrays->views[arrays->count].itemsize != (size < 0 ? -size : size)) arrays->wrong = "items have another size";
    }
    return 0;
}

static Py_ssize_t items(const Arrays *arrays, int i) { return arrays->views[i].len / arrays->views[i].itemsize; }

static PyObject *finish(Arrays *arrays) {
    while (arrays->count--) PyBuffer_Release(arrays->views + arrays->count);
    if (arrays->wrong) return PyErr_Format(PyExc_ValueError, "%s", arrays->wrong);
    Py_RETURN_NONE;
}

/* The first and the last u of the bands (u, d - u). */
static int first_band(int d) { return d < SIDE ? 0 : d - SIDE + 1; }
static int last_band(int d) { return d < SIDE ? d : SIDE - 1; }
static int bands(int d) { return last_band(d) - first_band(d) + 1; }

static int32_t *at(const Arrays *arrays, int i, int plane, int u, int v, Py_ssize_t n) {
    return (int32_t *)arrays->views[i].buf + ((plane * PADDED + u) * PADDED + v) * n;
}

static int32_t magnitude(int32_t symbol) { return symbol < 0 ? -symbol : symbol; }

/* What the diagonals before d have, a band, into mean[n]; LOOK_BACK of them count. */
static void mean_of(const Arrays *a, int blocks, int near, int plane, int d, Py_ssize_t n, int32_t *mean) {
    int count = 0, own = plane ? 8 : 12, around = plane ? 1 : 2;
    for (int k = d < LOOK_BACK ? 0 : d - LOOK_BACK; k < d; count += bands(k++)) {
        const int32_t *block = (const int32_t *)a->views[blocks].buf + (plane * DIAGONALS + k) * n;
        const int32_t *beside = (const int32_t *)a->views[near].buf + (plane * DIAGONALS + k) * n;
        for (Py_ssize_t i = 0; i < n; i++) mean[i] += own * block[i] + around * beside[i];
    }
    /* of planes of colour halves are counted: 4 b + floor(a / 2) is floor((8 b + a) / 2) */
    for (Py_ssize_t i = 0; i < n && count; i++) mean[i] = (plane ? mean[i] / 2 : mean[i]) / count;
}

/* _context and _class: expect(own i4[C, 10, 10, n], around i4[C, 10, 10, n], blocks i4[C, 15, n],
 *     near i4[C, 15, n], plane, d, context i4[bands, n], classes u1[bands, n]) */
static PyObject *expect(PyObject *self, PyObject *args) {
    enum { OWN, AROUND, BLOCKS, NEAR, CONTEXT, CLASSES, COUNT };
    static const int sizes[COUNT] = {4, 4, 4, 4, -4, -1};
    PyObject *o[COUNT];
    Arrays a;
    int plane, d;
    if (!PyArg_ParseTuple(args, "OOOOiiOO", o, o + 1, o + 2, o + 3, &plane, &d, o + 4, o + 5)) return NULL;
    if (borrow(&a, o, sizes, COUNT) < 0) return NULL;
    if (plane < 0 || plane > 2 || d < 0 || d >= DIAGONALS) a.wrong = "there is no such diagonal";
    Py_ssize_t n = a.wrong ? 0 : items(&a, CONTEXT) / bands(d), cells = (plane + 1) * PADDED * PADDED * n;
    if (!a.wrong && (items(&a, OWN) < cells || items(&a, AROUND) < cells || items(&a, CLASSES) < bands(d) * n
                     || items(&a, BLOCKS) < (plane + 1) * DIAGONALS * n || items(&a, NEAR) < (plane + 1) * DIAGONALS * n))
        a.wrong = SHORT;
    int32_t *mean = a.wrong ? NULL : calloc(n + 1, sizeof *mean);
    if (!a.wrong && !mean) a.wrong = "there is too little memory";
    if (!a.wrong) {
        mean_of(&a, BLOCKS, NEAR, plane, d, n, mean);
        for (int band = 0; band < bands(d); band++) {
            int u = first_band(d) + band + 2, v = d - first_band(d) - band + 2;
            const int32_t *up = at(&a, OWN, plane, u - 1, v, n), *up_two = at(&a, OWN, plane, u - 2, v, n);
            const int32_t *left = at(&a, OWN, plane, u, v - 1, n), *left_two = at(&a, OWN, plane, u, v - 2, n);
            const int32_t *across = at(&a, OWN, plane, u - 1, v - 1, n), *before = at(&a, OWN, plane ? plane - 1 : 0, u, v, n);
            const int32_t *above = at(&a, AROUND, plane, u - 1, v, n), *beside = at(&a, AROUND, plane, u, v - 1, n);
            int32_t *context = (int32_t *)a.views[CONTEXT].buf + band * n, next_to = plane ? 6 : 5, other = plane ? 5 : 0;
            uint8_t *classes = (uint8_t *)a.views[CLASSES].buf + band * n;
            for (Py_ssize_t i = 0; i < n; i++)
                context[i] = next_to * (up[i] + left[i]) + across[i] + up_two[i] + left_two[i] + above[i] + beside[i]
                    + mean[i] + other * before[i];
            for (Py_ssize_t i = 0; i < n; i++)
                classes[i] = ((left[i] | left_two[i]) == 0) + 2 * ((up[i] | up_two[i]) == 0);
        }
    }
    free(mean);
    return finish(&a);
}

/* The sum of the magnitudes in the four blocks beside one, of a band i4[h, w]. */
static int32_t sides_of(const int32_t *band, Py_ssize_t block, Py_ssize_t h, Py_ssize_t w) {
    Py_ssize_t row = block / w, column = block % w;
    int32_t sum = row ? magnitude(band[block - w]) : 0;
    sum += row < h - 1 ? magnitude(band[block + w]) : 0;
    sum += column ? magnitude(band[block - 1]) : 0;
    return sum + (column < w - 1 ? magnitude(band[block + 1]) : 0);
}

/* The half of a diagonal in _diagonal: choose(context i4[bands, n], classes u1[bands, n],
 *     band i4[bands, n], half i8[m], sides, (h, w), bin_of_context i8[65536], table_of_bin i8[320],
 *     bins i8[bands, m], tables i8[bands, m]); sides: weight of the blocks beside, 0 for the first half */
static PyObject *choose(PyObject *self, PyObject *args) {
    enum { CONTEXT, CLASSES, BAND, HALF, BIN_OF_CONTEXT, TABLE_OF_BIN, FOUND, TABLES, COUNT };
    static const int sizes[COUNT] = {4, 1, 4, 8, 8, 8, -8, -8};
    PyObject *o[COUNT];
    Arrays a;
    int sides;
    Py_ssize_t h, w;
    if (!PyArg_ParseTuple(args, "OOOOi(nn)OOOO", o, o + 1, o + 2, o + 3, &sides, &h, &w, o + 4, o + 5, o + 6, o + 7))
        return NULL;
    if (borrow(&a, o, sizes, COUNT) < 0) return NULL;
    Py_ssize_t n = h * w, m = items(&a, HALF), count = n > 0 ? items(&a, CONTEXT) / n : 0;
    if (h < 1 || w < 1 || items(&a, CLASSES) < count * n || items(&a, BAND) < count * n || items(&a, FOUND) < count * m
        || items(&a, TABLES) < count * m || items(&a, BIN_OF_CONTEXT) < CONTEXTS || items(&a, TABLE_OF_BIN) < CELLS)
        a.wrong = a.wrong ? a.wrong : SHORT;
    const int64_t *bin_of_context = a.views[BIN_OF_CONTEXT].buf, *table_of_bin = a.views[TABLE_OF_BIN].buf;
    for (Py_ssize_t band = 0; band < count && !a.wrong; band++) {
        const int32_t *symbols = (const int32_t *)a.views[BAND].buf + band * n;
        for (Py_ssize_t i = 0; i < m; i++) {
            int64_t block = ((const int64_t *)a.views[HALF].buf)[i];
            if (block < 0 || block >= n) {
                a.wrong = "a block is out of range";
                break;
            }
            int32_t part = ((const int32_t *)a.views[CONTEXT].buf)[band * n + block];
            if (sides) part = (13 * part >> 4) + sides * sides_of(symbols, block, h, w);
            int64_t bin = bin_of_context[part < 0 ? 0 : part < CONTEXTS ? part : CONTEXTS - 1];
            bin += BINS * ((const uint8_t *)a.views[CLASSES].buf)[band * n + block];
            if (bin < 0 || bin >= CELLS) {
                a.wrong = "a bin is out of range";
                break;
            }
            ((int64_t *)a.views[FOUND].buf)[band * m + i] = bin;
            ((int64_t *)a.views[TABLES].buf)[band * m + i] = table_of_bin[bin];
        }
    }
    return finish(&a);
}

/* _learn: learn(bins i8[k], symbols i4[k], count i8[320], sum i8[320]) */
static PyObject *learn(PyObject *self, PyObject *args) {
    static const int sizes[4] = {8, 4, -8, -8};
    PyObject *o[4];
    Arrays a;
    if (!PyArg_ParseTuple(args, "OOOO", o, o + 1, o + 2, o + 3)) return NULL;
    if (borrow(&a, o, sizes, 4) < 0) return NULL;
    if (!a.wrong && (items(&a, 1) < items(&a, 0) || items(&a, 2) < CELLS || items(&a, 3) < CELLS)) a.wrong = SHORT;
    int64_t *count = a.views[2].buf, *sum = a.views[3].buf;
    for (Py_ssize_t i = 0; i < items(&a, 0) && !a.wrong; i++) {
        int64_t bin = ((const int64_t *)a.views[0].buf)[i];
        int32_t found = magnitude(((const int32_t *)a.views[1].buf)[i]);
        if (bin < 0 || bin >= CELLS) {
            a.wrong = "a bin is out of range";
            break;
        }
        count[bin]++;
        sum[bin] += UNIT * (int64_t)(found < MOST ? found : MOST);
    }
    for (int bin = 0; bin < CELLS && !a.wrong; bin++)
        for (; count[bin] > MEMORY; sum[bin] >>= 1) count[bin] >>= 1;
    return finish(&a);
}

/* _keep, but for the symbols: keep(band i4[bands, n], plane, d, (h, w), own i4[C, 10, 10, n],
 *     around i4[C, 10, 10, n], blocks i4[C, 15, n], near i4[C, 15, n]) */
static PyObject *keep(PyObject *self, PyObject *args) {
    enum { BAND, OWN, AROUND, BLOCKS, NEAR, COUNT };
    static const int sizes[COUNT] = {4, -4, -4, -4, -4};
    PyObject *o[COUNT];
    Arrays a;
    int plane, d;
    Py_ssize_t h, w;
    if (!PyArg_ParseTuple(args, "Oii(nn)OOOO", o, &plane, &d, &h, &w, o + 1, o + 2, o + 3, o + 4)) return NULL;
    if (borrow(&a, o, sizes, COUNT) < 0) return NULL;
    Py_ssize_t n = h * w, cells = (plane + 1) * PADDED * PADDED * n;
    if (plane < 0 || plane > 2 || d < 0 || d >= DIAGONALS || h < 1 || w < 1) a.wrong = "there is no such diagonal";
    if (!a.wrong && (items(&a, BAND) < bands(d) * n || items(&a, OWN) < cells || items(&a, AROUND) < cells
                     || items(&a, BLOCKS) < (plane + 1) * DIAGONALS * n || items(&a, NEAR) < (plane + 1) * DIAGONALS * n))
        a.wrong = SHORT;
    int32_t *blocks = (int32_t *)a.views[BLOCKS].buf + (plane * DIAGONALS + d) * n;
    int32_t *near = (int32_t *)a.views[NEAR].buf + (plane * DIAGONALS + d) * n;
    for (int band = 0; !a.wrong && band < bands(d); band++) {
        int u = first_band(d) + band + 2, v = d - first_band(d) - band + 2;
        const int32_t *symbols = (const int32_t *)a.views[BAND].buf + band * n;
        int32_t *own = at(&a, OWN, plane, u, v, n), *around = at(&a, AROUND, plane, u, v, n);
        for (Py_ssize_t i = 0; i < n; i++) {
            int32_t found = magnitude(symbols[i]);
            own[i] = found < MOST ? found : MOST;
            blocks[i] = own[i] + (band ? blocks[i] : 0);
        }
        for (Py_ssize_t row = 0, i = 0; row < h; row++)
            for (Py_ssize_t column = 0; column < w; column++, i++) {
                int32_t sum = 2 * sides_of(own, i, h, w);
                if (row && column) sum += own[i - w - 1];
                if (row && column < w - 1) sum += own[i - w + 1];
                if (row < h - 1 && column) sum += own[i + w - 1];
                if (row < h - 1 && column < w - 1) sum += own[i + w + 1];
                around[i] = sum;
                near[i] = sum + (band ? near[i] : 0);
            }
    }
    return finish(&a);
}

/* A block row of a plane: coefficients f8[8][8][w] to samples f8[8][8][w], (y, x, block). */
static void invert_row(const double *cosines, const double *coefficients, double *half, double *samples, Py_ssize_t w) {
    memset(half, 0, SIDE * SIDE * w * sizeof *half);
    memset(samples, 0, SIDE * SIDE * w * sizeof *samples);
    for (int u = 0; u < SIDE; u++)
        for (int y = 0; y < SIDE; y++)
            for (Py_ssize_t k = 0; k < SIDE * w; k++)
                half[y * SIDE * w + k] += cosines[u * SIDE + y] * coefficients[u * SIDE * w + k];
    for (int y = 0; y < SIDE; y++)
        for (int v = 0; v < SIDE; v++)
            for (int x = 0; x < SIDE; x++)
                for (Py_ssize_t k = 0; k < w; k++)
                    samples[(y * SIDE + x) * w + k] += cosines[v * SIDE + x] * half[(y * SIDE + v) * w + k];
}

/* Pixels of a block row from the samples f8[C][8][8][w] of its planes, turned by colours f8[C][C]. */
static void put_row(const double *colours, const double *samples, Py_ssize_t planes, Py_ssize_t w, double *out) {
    for (int y = 0; y < SIDE; y++)
        for (Py_ssize_t k = 0; k < w; k++)
            for (int x = 0; x < SIDE; x++)
                for (Py_ssize_t channel = 0; channel < planes; channel++) {
                    double sum = 0;
                    for (Py_ssize_t plane = 0; plane < planes; plane++)
                        sum += colours[plane * planes + channel] * samples[((plane * SIDE + y) * SIDE + x) * w + k];
                    *out++ = sum;
                }
}

/* inverse(symbols i4[C, 8, 8, h, w], worth f8[C, 8, 8], cosines f8[8, 8], colours f8[C, C], (C, h, w),
 *     pixels f8[8 h, 8 w, C]) */
static PyObject *inverse(PyObject *self, PyObject *args) {
    enum { SYMBOLS, WORTH, COSINES, COLOURS, PIXELS, COUNT };
    static const int sizes[COUNT] = {4, 8, 8, 8, -8};
    PyObject *o[COUNT];
    Arrays a;
    Py_ssize_t planes, h, w;
    if (!PyArg_ParseTuple(args, "OOOO(nnn)O", o, o + 1, o + 2, o + 3, &planes, &h, &w, o + 4)) return NULL;
    if (borrow(&a, o, sizes, COUNT) < 0) return NULL;
    const Py_ssize_t cells = SIDE * SIDE, n = h * w;
    if (planes < 1 || h < 1 || w < 1 || items(&a, SYMBOLS) < planes * cells * n || items(&a, WORTH) < planes * cells
        || items(&a, COSINES) < cells || items(&a, COLOURS) < planes * planes || items(&a, PIXELS) < planes * cells * n)
        a.wrong = a.wrong ? a.wrong : SHORT;
    double *block = a.wrong ? NULL : malloc((2 + planes) * cells * w * sizeof *block);
    if (!a.wrong && !block) a.wrong = "there is too little memory";
    for (Py_ssize_t row = 0; row < h && !a.wrong; row++) {
        for (Py_ssize_t plane = 0; plane < planes; plane++) {
            for (Py_ssize_t band = plane * cells; band < (plane + 1) * cells; band++) {
                const int32_t *symbols = (const int32_t *)a.views[SYMBOLS].buf + band * n + row * w;
                double worth = ((const double *)a.views[WORTH].buf)[band];
                for (Py_ssize_t k = 0; k < w; k++) block[(band - plane * cells) * w + k] = worth * symbols[k];
            }
            invert_row(a.views[COSINES].buf, block, block + cells * w, block + (2 + plane) * cells * w, w);
        }
        double *pixels = (double *)a.views[PIXELS].buf + row * cells * w * planes;
        put_row(a.views[COLOURS].buf, block + 2 * cells * w, planes, w, pixels);
    }
    free(block);
    return finish(&a);
}

static PyMethodDef methods[] = {
    {"expect", expect, METH_VARARGS, "Say what is to be expected of a diagonal's bands."},
    {"choose", choose, METH_VARARGS, "Choose tables for half of a diagonal's blocks."},
    {"learn", learn, METH_VARARGS, "Count symbols by their contexts' bins."},
    {"keep", keep, METH_VARARGS, "Remember a diagonal's magnitudes."},
    {"inverse", inverse, METH_VARARGS, "Turn symbols into what is added to pixels."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "npeg._residual", "The loops of npeg/residual_order.py, compiled.", -1, methods,
};

PyMODINIT_FUNC PyInit__residual(void) { return PyModule_Create(&module); }
