/* Reading symbols whose tables adapt (npeg/adaptive.py), for npeg/_planes.c: the same integers. */
#include <stdint.h>
#include <string.h>

enum { PRECISION = 13, TOTAL = 1 << PRECISION, GAIN = 24, FIRST_REFRESH = 32, MAX_STEPS = 1 << 15 };
enum { FEW = 8, RAW_FROM = 16, RAW_AT_ONCE = 8 };
static const char *const FEW_LANES = "has %zd lanes for %zd symbols";
static const int64_t HALVED = (int64_t)GAIN << 16, LOWEST_STATE = 1 << 16;

typedef struct {
    Py_ssize_t rows, width;
    int64_t *counts, *fresh, *frequency, *start;
    uint8_t *sizes, *symbol_of_slot;
} Tables;

/* Reader: words and lanes, what was read of them, and why reading cannot go on */
typedef struct {
    const uint8_t *payload;
    Py_ssize_t words, read, lanes;
    int64_t *states, coded, next;
    Tables matches, tokens;
    const char *wrong;
} Reader;

/* Tables._rebuild: frequencies with sum TOTAL, each 1 or more. */
static void rebuild(Tables *tables, Py_ssize_t row) {
    Py_ssize_t size = tables->sizes[row], most = 0;
    int64_t *counts = tables->counts + row * tables->width, *frequency = tables->frequency + row * tables->width;
    int64_t *start = tables->start + row * tables->width, sum = 0, total = 0, at = 0;
    for (Py_ssize_t i = 0; i < size; i++) sum += counts[i];
    for (Py_ssize_t i = 0; i < size; i++) {
        frequency[i] = 1 + counts[i] * (TOTAL - size) / sum;
        total += frequency[i];
        if (frequency[i] > frequency[most]) most = i;
    }
    frequency[most] += TOTAL - total;
    for (Py_ssize_t i = 0; i < size; i++) {
        start[i] = at;
        if (tables->width > FEW) memset(tables->symbol_of_slot + row * TOTAL + at, (int)i, frequency[i]);
        at += frequency[i];
    }
}

/* Tables.refresh */
static void refresh_tables(Tables *tables) {
    for (Py_ssize_t row = 0; row < tables->rows; row++) {
        int64_t *fresh = tables->fresh + row * tables->width, *counts = tables->counts + row * tables->width;
        int64_t sum = 0, any = 0;
        for (Py_ssize_t i = 0; i < tables->sizes[row]; i++) {
            any |= fresh[i];
            counts[i] += GAIN * fresh[i];
            sum += counts[i];
            fresh[i] = 0;
        }
        if (!any) continue;
        for (Py_ssize_t i = 0; sum > HALVED && i < tables->sizes[row]; i++) counts[i] = (counts[i] + 1) >> 1;
        rebuild(tables, row);
    }
}

/* _Schedule.refresh */
static void refresh(Reader *reader) {
    if (reader->coded < reader->next) return;
    reader->next = reader->coded + reader->coded / 4 + 16;
    refresh_tables(&reader->matches);
    refresh_tables(&reader->tokens);
}

/* Reader._pop, of one lane */
static int pop(Reader *reader, Py_ssize_t lane, int64_t slot, int64_t frequency, int64_t start) {
    int64_t x = (reader->states[lane] >> PRECISION) * frequency + slot - start;
    if (x < LOWEST_STATE) {
        if (reader->read == reader->words) {
            reader->wrong = "ends too early: its words are used up";
            return -1;
        }
        const uint8_t *word = reader->payload + 2 * reader->read++;
        x = (int64_t)((uint64_t)x << RAW_FROM) | word[0] | (int64_t)word[1] << 8;
    }
    reader->states[lane] = x;
    return 0;
}

/* Reader._count */
static int count(Reader *reader, Py_ssize_t n) {
    reader->coded += n;
    if (reader->coded > (int64_t)MAX_STEPS * reader->lanes) reader->wrong = FEW_LANES;
    return reader->wrong ? -1 : 0;
}

/* Reader.code: the symbols of rows */
static int read_symbols(Reader *reader, Tables *tables, const int64_t *rows, int64_t *symbols, Py_ssize_t n) {
    if (count(reader, n) < 0) return -1;
    for (Py_ssize_t i = 0, lane = 0; i < n; i++) {
        int64_t row = rows[i], slot = reader->states[lane] & (TOTAL - 1), symbol = 0;
        if (row < 0 || row >= tables->rows) {
            reader->wrong = "asks for a table that there is not";
            return -1;
        }
        const int64_t *start = tables->start + row * tables->width;
        if (tables->width > FEW) symbol = tables->symbol_of_slot[row * TOTAL + slot];
        else
            while (symbol + 1 < tables->sizes[row] && start[symbol + 1] <= slot) symbol++;
        Py_ssize_t key = row * tables->width + symbol;
        if (pop(reader, lane, slot, tables->frequency[key], start[symbol]) < 0) return -1;
        tables->fresh[key]++;
        symbols[i] = symbol;
        if (++lane == reader->lanes) lane = 0;
    }
    return 0;
}

/* Reader.bits: adds what tokens >= RAW_FROM leave to raw bits, the low eight or those above */
static int read_bits(Reader *reader, const int64_t *low_bits, const int64_t *tokens, int64_t *found, Py_ssize_t n,
                     int higher) {
    Py_ssize_t lane = 0, large = 0;
    for (Py_ssize_t i = 0; i < n; i++) large += tokens[i] >= RAW_FROM;
    if (count(reader, large) < 0) return -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (tokens[i] < RAW_FROM) continue;
        int64_t width = low_bits[tokens[i]];
        int64_t few = width < RAW_AT_ONCE ? width : RAW_AT_ONCE, here = higher ? width - few : few;
        int64_t slot = reader->states[lane] & (TOTAL - 1), value = slot >> (PRECISION - here);
        if (pop(reader, lane, slot, TOTAL >> here, value << (PRECISION - here)) < 0) return -1;
        found[i] += higher ? value << RAW_AT_ONCE : value;
        if (++lane == reader->lanes) lane = 0;
    }
    return 0;
}
