/* The loops of npeg/rans.py, compiled: the same integers, some ten times as fast.
 *
 * npeg runs without this module, by NumPy. It only reads and writes the buffers that it is handed;
 * lengths, table indexes and frequencies are checked here too, whatever the caller promises.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

enum { PRECISION = 13, TOTAL = 1 << PRECISION, WORD_BITS = 16, ENTRIES = 61, MOST_BITS = 31 };

typedef struct {
    Py_buffer view;
    Py_ssize_t count;
} Array;

/* Borrow a C-contiguous buffer of items of a size; a writable one where it is written to. */
static int borrow(PyObject *source, Array *array, Py_ssize_t size, int flags) {
    if (PyObject_GetBuffer(source, &array->view, PyBUF_C_CONTIGUOUS | flags) < 0) return -1;
    array->count = array->view.len / size;
    if (array->view.itemsize == size || array->view.itemsize == 1) return 0;
    PyBuffer_Release(&array->view);
    PyErr_SetString(PyExc_ValueError, "items have another size");
    return -1;
}

static void give_back(Array *arrays, int count) {
    while (count--) PyBuffer_Release(&arrays[count].view);
}

/* Borrow several: sizes[i] bytes an item, negative where it is written to. */
static int borrow_all(PyObject *const *sources, Array *arrays, const int *sizes, int count) {
    for (int i = 0; i < count; i++) {
        int size = sizes[i] < 0 ? -sizes[i] : sizes[i];
        if (borrow(sources[i], &arrays[i], size, sizes[i] < 0 ? PyBUF_WRITABLE : 0) < 0) {
            give_back(arrays, i);
            return -1;
        }
    }
    return 0;
}

static PyObject *finish(Array *arrays, int count, Py_ssize_t result, const char *wrong) {
    give_back(arrays, count);
    if (wrong) return PyErr_Format(PyExc_ValueError, "%s", wrong);
    return PyLong_FromSsize_t(result);
}

/* pop(indexes i8[n], states i8[lanes], entry_of_slot u1[T << 13], frequencies u2[T * 61],
 *     starts u2[T * 61], words u2[], entries u1[n]) -> words read, -1 if there are too few */
static PyObject *pop(PyObject *self, PyObject *args) {
    PyObject *o[7];
    Array a[7];
    static const int sizes[7] = {8, -8, 1, 2, 2, 2, -1};
    if (!PyArg_ParseTuple(args, "OOOOOOO", o, o + 1, o + 2, o + 3, o + 4, o + 5, o + 6)) return NULL;
    if (borrow_all(o, a, sizes, 7) < 0) return NULL;
    const int64_t *indexes = a[0].view.buf;
    int64_t *states = a[1].view.buf;
    const uint8_t *entry_of_slot = a[2].view.buf;
    const uint16_t *frequencies = a[3].view.buf, *starts = a[4].view.buf, *words = a[5].view.buf;
    uint8_t *entries = a[6].view.buf;
    Py_ssize_t n = a[0].count, lanes = a[1].count, tables = a[2].count >> PRECISION, read = 0;
    const char *wrong = NULL;
    if (a[6].count < n || a[3].count < tables * ENTRIES || a[4].count < tables * ENTRIES || (n && !lanes))
        wrong = "an array is too short";
    for (Py_ssize_t i = 0, lane = 0; i < n && !wrong && read >= 0; i++) {
        int64_t table = indexes[i], x = states[lane];
        if (table < 0 || table >= tables) {
            wrong = "a table index is out of range";
            break;
        }
        int64_t slot = x & (TOTAL - 1);
        uint8_t entry = entry_of_slot[(table << PRECISION) + slot];
        if (entry >= ENTRIES) {
            wrong = "an entry is out of range";
            break;
        }
        x = (x >> PRECISION) * frequencies[table * ENTRIES + entry] + slot
            - starts[table * ENTRIES + entry];
        if (x < (int64_t)1 << WORD_BITS) {
            if (read == a[5].count) {
                read = -1;
                break;
            }
            x = (int64_t)((uint64_t)x << WORD_BITS) | words[read++];
        }
        states[lane] = x;
        entries[i] = entry;
        if (++lane == lanes) lane = 0;
    }
    return finish(a, 7, read, wrong);
}

/* push(rows i8[n], states i8[lanes], frequencies u2[T * 61], starts u2[T * 61], words u2[])
 *     -> where the words begin: they fill up from the end; -1 if there is too little room */
static PyObject *push(PyObject *self, PyObject *args) {
    PyObject *o[5];
    Array a[5];
    static const int sizes[5] = {8, -8, 2, 2, -2};
    if (!PyArg_ParseTuple(args, "OOOOO", o, o + 1, o + 2, o + 3, o + 4)) return NULL;
    if (borrow_all(o, a, sizes, 5) < 0) return NULL;
    const int64_t *rows = a[0].view.buf;
    int64_t *states = a[1].view.buf;
    const uint16_t *frequencies = a[2].view.buf, *starts = a[3].view.buf;
    uint16_t *words = a[4].view.buf;
    Py_ssize_t n = a[0].count, lanes = a[1].count, position = a[4].count;
    const char *wrong = n && !lanes ? "there are no lanes" : NULL;
    for (Py_ssize_t i = n - 1, lane = lanes ? (n - 1) % lanes : 0; i >= 0 && !wrong; i--) {
        int64_t row = rows[i], x = states[lane];
        if (row < 0 || row >= a[2].count || row >= a[3].count || !frequencies[row]) {
            wrong = "a row is out of range or has no frequency";
            break;
        }
        int64_t frequency = frequencies[row];
        if (x >= frequency << (2 * WORD_BITS - PRECISION)) {
            if (!position) {
                position = -1;
                break;
            }
            words[--position] = (uint16_t)x;
            x >>= WORD_BITS;
        }
        states[lane] = x + x / frequency * (TOTAL - frequency) + starts[row];
        lane = (lane ? lane : lanes) - 1;
    }
    return finish(a, 5, position, wrong);
}

/* split(bits u1[], widths i8[n], fields i8[n]) -> bits read, -1 if there are too few */
static PyObject *split(PyObject *self, PyObject *args) {
    PyObject *o[3];
    Array a[3];
    static const int sizes[3] = {1, 8, -8};
    if (!PyArg_ParseTuple(args, "OOO", o, o + 1, o + 2)) return NULL;
    if (borrow_all(o, a, sizes, 3) < 0) return NULL;
    const uint8_t *bits = a[0].view.buf;
    const int64_t *widths = a[1].view.buf;
    int64_t *fields = a[2].view.buf;
    Py_ssize_t at = 0;
    const char *wrong = a[2].count < a[1].count ? "there are too few fields" : NULL;
    for (Py_ssize_t i = 0; i < a[1].count && !wrong && at >= 0; i++) {
        int64_t value = 0, width = widths[i];
        if (width < 0 || width > MOST_BITS) wrong = "a width is out of range";
        else if (width > a[0].count - at) at = -1;
        else
            for (; width; width--) value = value << 1 | (bits[at++] & 1);
        fields[i] = value;
    }
    return finish(a, 3, at, wrong);
}

/* join(values i8[n], widths i8[n], bits u1[]) -> bits written, -1 if there is too little room */
static PyObject *join(PyObject *self, PyObject *args) {
    PyObject *o[3];
    Array a[3];
    static const int sizes[3] = {8, 8, -1};
    if (!PyArg_ParseTuple(args, "OOO", o, o + 1, o + 2)) return NULL;
    if (borrow_all(o, a, sizes, 3) < 0) return NULL;
    const int64_t *values = a[0].view.buf, *widths = a[1].view.buf;
    uint8_t *bits = a[2].view.buf;
    Py_ssize_t at = 0;
    const char *wrong = a[1].count < a[0].count ? "there are too few widths" : NULL;
    for (Py_ssize_t i = 0; i < a[0].count && !wrong && at >= 0; i++) {
        int64_t width = widths[i];
        if (width < 0 || width > MOST_BITS) wrong = "a width is out of range";
        else if (width > a[2].count - at) at = -1;
        else
            while (width) bits[at++] = values[i] >> --width & 1;
    }
    return finish(a, 3, at, wrong);
}

static PyMethodDef methods[] = {
    {"pop", pop, METH_VARARGS, "Read entries of tables by interleaved rANS."},
    {"push", push, METH_VARARGS, "Write entries of tables by interleaved rANS."},
    {"split", split, METH_VARARGS, "Read fields of several widths from bits."},
    {"join", join, METH_VARARGS, "Write fields of several widths as bits."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "npeg._rans", "The loops of npeg/rans.py, compiled.", -1, methods,
};

PyMODINIT_FUNC PyInit__rans(void) { return PyModule_Create(&module); }
