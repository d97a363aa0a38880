/*
 * UTF-8 validation.  Three ways: the automaton, byte by byte; the automaton with ASCII skipped
 * eight bytes at a time; and AVX2, after the published lookup algorithm of Keiser and Lemire
 * ("Validating UTF-8 in less than one instruction per byte", 2021).  The CPU is asked on every
 * call: that is one load and one test, and leaves no state of our own that threads could share.
 */
#include "wire/utf8.h"

#include "base/hint.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2 1
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))
#else
#define HAVE_AVX2 0
#endif

/* ---- The automaton ------------------------------------------------------------------------- */

/*
 * What a byte can be (RFC 3629, 4).  The continuation bytes are three classes, because the first
 * one after E0, ED, F0 and F4 is restricted: no overlong forms, no surrogates, nothing above
 * U+10FFFF.
 */
enum {
    ASCII,
    CONT_80, /* 80 to 8F */
    CONT_90, /* 90 to 9F */
    CONT_A0, /* A0 to BF */
    NEVER,   /* C0, C1, F5 to FF */
    LEAD_2,  /* C2 to DF */
    LEAD_E0,
    LEAD_3, /* E1 to EC, EE, EF */
    LEAD_ED,
    LEAD_F0,
    LEAD_4, /* F1 to F3 */
    LEAD_F4,
    CLASS_COUNT
};

#define TIMES_2(x)  x, x
#define TIMES_3(x)  x, x, x
#define TIMES_8(x)  x, x, x, x, x, x, x, x
#define TIMES_16(x) TIMES_8(x), TIMES_8(x)
#define TIMES_32(x) TIMES_16(x), TIMES_16(x)

static const uint8_t classes[256] = {
    TIMES_32(ASCII),
    TIMES_32(ASCII),
    TIMES_32(ASCII),
    TIMES_32(ASCII),
    TIMES_16(CONT_80),
    TIMES_16(CONT_90),
    TIMES_32(CONT_A0),
    /* C0 */
    TIMES_2(NEVER),
    TIMES_8(LEAD_2),
    TIMES_8(LEAD_2),
    TIMES_8(LEAD_2),
    TIMES_3(LEAD_2),
    TIMES_3(LEAD_2),
    /* E0 */
    LEAD_E0,
    TIMES_8(LEAD_3),
    TIMES_3(LEAD_3),
    LEAD_3,
    LEAD_ED,
    TIMES_2(LEAD_3),
    /* F0 */
    LEAD_F0,
    TIMES_3(LEAD_4),
    LEAD_F4,
    TIMES_8(NEVER),
    TIMES_3(NEVER),
};

/* Between two characters or inside one: what may follow. */
enum {
    ACCEPT = WST__UTF8_ACCEPT,
    REJECT = WST__UTF8_REJECT,
    NEED_1, /* One more continuation byte, */
    NEED_2, /* two, */
    AFTER_E0,
    AFTER_ED,
    AFTER_F0,
    NEED_3,
    AFTER_F4,
    STATE_COUNT
};

static const uint8_t next[STATE_COUNT][CLASS_COUNT] = {
    /*            ASCII   80-8F   90-9F   A0-BF   never   2       E0        3       ED        F0
                  4       F4 */
    [ACCEPT] = {ACCEPT, REJECT, REJECT, REJECT, REJECT, NEED_1, AFTER_E0, NEED_2, AFTER_ED,
                AFTER_F0, NEED_3, AFTER_F4},
    [REJECT] = {REJECT, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT,
                REJECT, REJECT},
    [NEED_1] = {REJECT, ACCEPT, ACCEPT, ACCEPT, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT,
                REJECT, REJECT},
    [NEED_2] = {REJECT, NEED_1, NEED_1, NEED_1, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT,
                REJECT, REJECT},
    [AFTER_E0] = {REJECT, REJECT, REJECT, NEED_1, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT,
                  REJECT, REJECT},
    [AFTER_ED] = {REJECT, NEED_1, NEED_1, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT,
                  REJECT, REJECT},
    [AFTER_F0] = {REJECT, REJECT, NEED_2, NEED_2, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT,
                  REJECT, REJECT},
    [NEED_3] = {REJECT, NEED_2, NEED_2, NEED_2, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT,
                REJECT, REJECT},
    [AFTER_F4] = {REJECT, NEED_2, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT,
                  REJECT, REJECT},
};

uint8_t wst__utf8_automaton(uint8_t state, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n && state != REJECT; i++)
        state = next[state][classes[p[i]]];
    return state;
}

/* ---- The ways ------------------------------------------------------------------------------ */

static bool always(void)
{
    return true;
}

static bool valid_words(const uint8_t *p, size_t n)
{
    const uint64_t high = 0x8080808080808080u;
    uint8_t state = ACCEPT;
    uint64_t word;
    size_t i = 0;

    while (i < n && state != REJECT) {
        if (state == ACCEPT && n - i >= sizeof word) {
            memcpy(&word, p + i, sizeof word);
            if (!(word & high)) {
                i += sizeof word;
                continue;
            }
        }
        state = next[state][classes[p[i++]]];
    }
    return state == ACCEPT;
}

#if HAVE_AVX2

/*
 * The lookup algorithm: three tables, indexed by the high and the low half of a byte and by the
 * high half of the byte after it, hold for each a set of the errors it could be part of; what is
 * in all three sets is an error.  Each bit is one kind of error.
 */
enum {
    TOO_SHORT = 1,   /* A lead byte without enough continuation bytes. */
    TOO_LONG = 2,    /* A continuation byte after ASCII. */
    OVERLONG_3 = 4,  /* E0 80 to E0 9F. */
    TOO_LARGE = 8,   /* F4 90 and above. */
    SURROGATE = 16,  /* ED A0 to ED BF. */
    OVERLONG_2 = 32, /* C0, C1. */
    TOO_HIGH = 64,   /* F5 and above, with 80 to 8F; and F0 80 to F0 8F. */
    TWO_CONTS = 128, /* Two continuation bytes: right only after a 3- or 4-byte lead. */
    ANY_LOW = TOO_SHORT | TOO_LONG | TWO_CONTS
};

static const uint8_t first_high[16] = {
    TIMES_8(TOO_LONG),
    TWO_CONTS,
    TWO_CONTS,
    TWO_CONTS,
    TWO_CONTS,
    TOO_SHORT | OVERLONG_2,
    TOO_SHORT,
    TOO_SHORT | OVERLONG_3 | SURROGATE,
    TOO_SHORT | TOO_LARGE | TOO_HIGH,
};
static const uint8_t first_low[16] = {
    ANY_LOW | OVERLONG_3 | OVERLONG_2 | TOO_HIGH,
    ANY_LOW | OVERLONG_2,
    TIMES_2(ANY_LOW),
    ANY_LOW | TOO_LARGE,
    TIMES_8(ANY_LOW | TOO_LARGE | TOO_HIGH),
    ANY_LOW | TOO_LARGE | TOO_HIGH | SURROGATE,
    TIMES_2(ANY_LOW | TOO_LARGE | TOO_HIGH),
};
static const uint8_t second_high[16] = {
    TIMES_8(TOO_SHORT),
    TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_HIGH,
    TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE,
    TIMES_2(TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE),
    TIMES_3(TOO_SHORT),
    TOO_SHORT,
};
/* A block may not end with a lead byte whose continuation bytes cannot lie in it. */
static const uint8_t last_may_be[32] = {
    TIMES_16(0xff), TIMES_8(0xff), TIMES_3(0xff), TIMES_2(0xff), 0xef, 0xdf, 0xbf,
};

struct check {
    __m256i error;
    __m256i prev; /* The block before. */
    __m256i open; /* Not zero: it ended inside a character. */
};

AVX2 static inline __m256i load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 static inline __m256i lookup(const uint8_t table[16], __m256i index)
{
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)table);

    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(half), index);
}

AVX2 static inline __m256i high_half(__m256i v)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}

AVX2 static inline void check_block(struct check *c, __m256i in)
{
    __m256i across = _mm256_permute2x128_si256(c->prev, in, 0x21);
    __m256i back1 = _mm256_alignr_epi8(in, across, 15);
    __m256i back2 = _mm256_alignr_epi8(in, across, 14);
    __m256i back3 = _mm256_alignr_epi8(in, across, 13);
    __m256i special = _mm256_and_si256(
        _mm256_and_si256(lookup(first_high, high_half(back1)),
                         lookup(first_low, _mm256_and_si256(back1, _mm256_set1_epi8(15)))),
        lookup(second_high, high_half(in)));
    /* Two or three bytes after a lead of three or four, the highest bit of these is set. */
    __m256i lead3 = _mm256_subs_epu8(back2, _mm256_set1_epi8(0xe0 - 0x80));
    __m256i lead4 = _mm256_subs_epu8(back3, _mm256_set1_epi8(0xf0 - 0x80));
    __m256i must = _mm256_and_si256(_mm256_or_si256(lead3, lead4), _mm256_set1_epi8((char)0x80));

    c->error = _mm256_or_si256(c->error, _mm256_xor_si256(must, special));
    c->open = _mm256_subs_epu8(in, load(last_may_be));
    c->prev = in;
}

AVX2 static inline bool is_ascii(__m256i a, __m256i b)
{
    return _mm256_movemask_epi8(_mm256_or_si256(a, b)) == 0;
}

AVX2 static inline void check_pair(struct check *c, __m256i a, __m256i b)
{
    if (!is_ascii(a, b)) {
        check_block(c, a);
        check_block(c, b);
        return;
    }
    c->error = _mm256_or_si256(c->error, c->open);
    c->open = _mm256_setzero_si256();
    c->prev = b;
}

AVX2 static inline bool verdict(const struct check *c)
{
    __m256i error = _mm256_or_si256(c->error, c->open);

    return _mm256_testz_si256(error, error) != 0;
}

/*
 * The last bytes, less than 64.  A function of its own, because the aligned memory that it needs
 * would cost a few instructions also where all is done without it.
 */
AVX2 WST__NOINLINE static bool check_rest(__m256i error, __m256i prev, __m256i open,
                                          const uint8_t *p, size_t n)
{
    struct check c = {error, prev, open};
    uint8_t rest[64] = {0}; /* Zeros are ASCII: they end what is open, as the end does. */

    memcpy(rest, p, n);
    check_pair(&c, load(rest), load(rest + 32));
    return verdict(&c);
}

AVX2 static inline bool check_all(const uint8_t *p, size_t n)
{
    struct check c = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    size_t i = 0;

    for (; n - i >= 64; i += 64)
        check_pair(&c, load(p + i), load(p + i + 32));
    return i < n ? check_rest(c.error, c.prev, c.open, p + i, n - i) : verdict(&c);
}

/* Most text is ASCII, which needs no state: the rest begins where that ends. */
AVX2 static bool valid_avx2(const uint8_t *p, size_t n)
{
    while (n >= 128 && is_ascii(_mm256_or_si256(load(p), load(p + 32)),
                                _mm256_or_si256(load(p + 64), load(p + 96)))) {
        p += 128;
        n -= 128;
    }
    while (n >= 64 && is_ascii(load(p), load(p + 32))) {
        p += 64;
        n -= 64;
    }
    return n == 0 || check_all(p, n);
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

#endif

const struct wst__utf8_way wst__utf8_ways[] = {
#if HAVE_AVX2
    {"avx2", has_avx2, valid_avx2},
#endif
    {"words", always, valid_words},
};
const size_t wst__utf8_way_count = sizeof wst__utf8_ways / sizeof wst__utf8_ways[0];

bool wst__utf8_valid(const uint8_t *p, size_t n)
{
#if HAVE_AVX2
    if (has_avx2())
        return valid_avx2(p, n);
#endif
    return valid_words(p, n);
}

/* How many bytes at the end belong to a character that goes on behind it: 0 to 3. */
static size_t open_tail(const uint8_t *p, size_t n)
{
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        uint8_t b = p[n - k];

        if (b < 0x80)
            return 0;
        if (b >= 0xc0)
            return k < (size_t)(b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : 2) ? k : 0;
    }
    return 0;
}

uint8_t wst__utf8_feed(uint8_t state, const uint8_t *p, size_t n)
{
    size_t i = 0;
    size_t tail;

    /* First the character that the piece before has left open. */
    while (state != ACCEPT && state != REJECT && i < n)
        state = next[state][classes[p[i++]]];
    if (state != ACCEPT || i == n)
        return state;
    tail = open_tail(p + i, n - i);
    if (!wst__utf8_valid(p + i, n - i - tail))
        return REJECT;
    return wst__utf8_automaton(ACCEPT, p + n - tail, tail);
}
