/*
 * Masking by whole words: 8 bytes at a time everywhere, 32 at a time with AVX2.  What is left at
 * the end is one more word that overlaps the one before: it is written a second time with the same
 * bytes, which is why source and target must not be the same memory.
 */
#include "wire/mask.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2 1
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))
#else
#define HAVE_AVX2 0
#endif

/* The key as it lies over the bytes from |offset| on, twice. */
static inline uint64_t key_at(const uint8_t key[4], size_t offset)
{
    uint8_t twice[8] = {key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]};
    uint32_t half;
    uint64_t word;

    memcpy(&half, twice + (offset & 3), sizeof half);
    memcpy(&word, &half, sizeof half);
    memcpy((uint8_t *)&word + sizeof half, &half, sizeof half);
    return word;
}

static inline void mask_word(uint8_t *to, const uint8_t *from, uint64_t key)
{
    uint64_t word;

    memcpy(&word, from, sizeof word);
    word ^= key;
    memcpy(to, &word, sizeof word);
}

static void mask_bytes(uint8_t *to, const uint8_t *from, size_t n, const uint8_t key[4])
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] ^ key[i & 3];
}

static bool always(void)
{
    return true;
}

static void mask_words(uint8_t *to, const uint8_t *from, size_t n, const uint8_t key[4])
{
    const uint64_t word = key_at(key, 0);
    size_t i = 0;

    if (n < 8) {
        mask_bytes(to, from, n, key);
        return;
    }
    for (; n - i >= 8; i += 8)
        mask_word(to + i, from + i, word);
    if (i < n)
        mask_word(to + n - 8, from + n - 8, key_at(key, n));
}

#if HAVE_AVX2

AVX2 static inline void mask_32(uint8_t *to, const uint8_t *from, __m256i key)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)from);

    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_xor_si256(v, key));
}

AVX2 static inline void mask_64(uint8_t *to, const uint8_t *from, __m256i key)
{
    mask_32(to, from, key);
    mask_32(to + 32, from + 32, key);
}

/* The last bytes, less than 32, behind so many others that 32 can be masked. */
AVX2 static inline void mask_rest(uint8_t *to, const uint8_t *from, size_t n, uint32_t key)
{
    unsigned turn = 8 * (n & 3); /* Where the 32 bytes begin in the key; x86 is little-endian. */

    key = key >> turn | key << (-turn & 31);
    mask_32(to + n - 32, from + n - 32, _mm256_set1_epi32((int)key));
}

AVX2 static void mask_avx2(uint8_t *to, const uint8_t *from, size_t n, const uint8_t key[4])
{
    uint32_t word;
    __m256i v;

    if (n < 32) {
        mask_words(to, from, n, key);
        return;
    }
    memcpy(&word, key, sizeof word);
    v = _mm256_set1_epi32((int)word);
    for (; n >= 128; n -= 128, to += 128, from += 128) {
        mask_64(to, from, v);
        mask_64(to + 64, from + 64, v);
    }
    if (n & 64) {
        mask_64(to, from, v);
        to += 64;
        from += 64;
    }
    if (n & 32) {
        mask_32(to, from, v);
        to += 32;
        from += 32;
    }
    if (n & 31)
        mask_rest(to, from, n & 31, word);
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

#endif

const struct wst__mask_way wst__mask_ways[] = {
#if HAVE_AVX2
    {"avx2", has_avx2, mask_avx2},
#endif
    {"words", always, mask_words},
};
const size_t wst__mask_way_count = sizeof wst__mask_ways / sizeof wst__mask_ways[0];

void wst__mask(uint8_t *to, const uint8_t *from, size_t n, const uint8_t key[4])
{
#if HAVE_AVX2
    if (has_avx2()) {
        mask_avx2(to, from, n, key);
        return;
    }
#endif
    mask_words(to, from, n, key);
}
