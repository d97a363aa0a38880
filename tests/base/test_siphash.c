/* SipHash-2-4 against the vectors of its reference implementation. */
#include "base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Key 00 01 .. 0f; the message of length n is 00 01 .. n-1. */
static void test_reference_vectors(void **state)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {
        {0, 0x726fdb47dd0e0e31u},  {1, 0x74f839c593dc67fdu},  {2, 0x0d6c8009d9a94f5au},
        {3, 0x85676696d7fb7e2du},  {7, 0xab0200f58b01d137u},  {8, 0x93f5f5799a932462u},
        {15, 0xa129ca6149be45e5u}, {63, 0x958a324ceb064572u},
    };
    uint8_t key[16];
    uint8_t message[64];

    (void)state;
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        assert_true(wst__siphash(key, message, vectors[i].len) == vectors[i].hash);
}

static void test_every_bit_of_the_key_counts(void **state)
{
    uint8_t key[16] = {0};
    uint64_t plain = wst__siphash(key, "ticket", 6);

    (void)state;
    for (size_t bit = 0; bit < 128; bit++) {
        key[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(wst__siphash(key, "ticket", 6) != plain);
        key[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_vectors),
        cmocka_unit_test(test_every_bit_of_the_key_counts),
    };

    return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
