#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory.h"
#include "wire/jwt.h"

#include <stdio.h>
#include <string.h>

/* Writes |claims| as the payload of a token, without padding. */
static void make_token(char *out, size_t room, const char *claims)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = strlen(claims);
    size_t len = (size_t)snprintf(out, room, "eyJhbGciOiJIUzI1NiJ9.");

    for (size_t i = 0; i < n; i += 3) {
        const unsigned char *p = (const unsigned char *)claims + i;
        uint32_t bits = (uint32_t)p[0] << 16;

        if (i + 1 < n)
            bits |= (uint32_t)p[1] << 8;
        if (i + 2 < n)
            bits |= p[2];
        for (size_t j = 0; j < 4 && j <= n - i; j++)
            out[len++] = alphabet[bits >> (18 - 6 * j) & 63];
        assert_true(len + 8 < room);
    }
    (void)snprintf(out + len, room - len, ".c2ln");
}

static void test_claims(void **state)
{
    static const struct {
        const char *claims;
        int64_t life_s; /* At wall clock 1000. */
    } rows[] = {
        {"{\"iat\":500,\"exp\":4100}", 3600},
        {"{\"exp\":4100,\"iat\":500,\"sub\":\"\\u00fc\"}", 3600},
        {"{\"exp\":1060}", 60},
        {"{\"exp\":1060,\"iat\":\"500\"}", 60},
        {"{\"exp\":1060,\"iat\":null}", 60},
        {"{\"iat\":500.25,\"exp\":510.5}", 10},
        {"{\"iat\":0,\"exp\":315360000}", 315360000},
        {"{\"iat\":0,\"exp\":315360001}", -1},
        {"{\"iat\":500,\"exp\":500}", -1},
        {"{\"iat\":500,\"exp\":499}", -1},
        {"{\"exp\":1000}", -1},
        {"{\"exp\":1e999}", -1},
        {"{\"exp\":-1e999,\"iat\":-1e999}", -1},
        {"{\"exp\":\"4100\",\"iat\":500}", -1},
        {"{\"iat\":500}", -1},
        {"{}", -1},
        {"[4100]", -1},
        {"4100", -1},
        {"{\"exp\":1060", -1},
        {"{\"exp\":1060}x", -1},
        {"not json", -1},
        {"{\"exp\":1060,\"exp\":2000}", 60},  /* The first counts. */
        {"{\"exp\":1060,\"a\":\">>>\"}", 60}, /* With a '-' in base64url, */
        {"{\"exp\":1060,\"a\":\"???\"}", 60}, /* and with a '_'. */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char token[512];

        make_token(token, sizeof token, rows[i].claims);
        if (wst__jwt_life_s(token, strlen(token), 1000) != rows[i].life_s)
            fail_msg("%s: %lld", rows[i].claims,
                     (long long)wst__jwt_life_s(token, strlen(token), 1000));
    }
}

/* The form: three parts, base64url, padding tolerated.  eyJleHAiOjEwNjB9 is {"exp":1060}. */
static void test_form(void **state)
{
    static const struct {
        const char *token;
        int64_t life_s;
    } rows[] = {
        {"h.eyJleHAiOjEwNjB9.s", 60},
        {".eyJleHAiOjEwNjB9.", 60},
        {"h.eyJleHAiOjEwNjAgfQ.s", 60},   /* {"exp":1060 } */
        {"h.eyJleHAiOjEwNjAgfQ==.s", 60}, /* Padded. */
        {"h.eyJleHAiOjEwNjAgIH0.s", 60},
        {"h.eyJleHAiOjEwNjAgIH0=.s", 60},
        {"h.eyJleHAiOjEwNjAgfQ===.s", -1},
        {"h.=eyJleHAiOjEwNjB9.s", -1},
        {"h.eyJleHAiOjEwNjB9A.s", -1}, /* A character too many. */
        {"h.eyJleHAiOjEwNjB9", -1},
        {"eyJleHAiOjEwNjB9", -1},
        {"h.eyJleHAiOjEwNjB9.s.x", -1},
        {"a.b.c.d.e", -1},
        {"h..s", -1},
        {"h.==.s", -1},
        {"h.eyJleHAi OjEwNjB9.s", -1},
        {"h.eyJleHAi+jEwNjB9.s", -1},
        {"h.eyJleHAi{jEwNjB9.s", -1},
        {"..", -1},
        {"", -1},
        {"opaque-token", -1},
    };
    static char huge[65536 + 2]; /* One more than is looked at. */

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (wst__jwt_life_s(rows[i].token, strlen(rows[i].token), 1000) != rows[i].life_s)
            fail_msg("%s", rows[i].token);
    }
    memset(huge, 'h', sizeof huge);
    memcpy(huge + sizeof huge - 20, ".eyJleHAiOjEwNjB9.s", 20);
    assert_int_equal(wst__jwt_life_s(huge, sizeof huge - 1, 1000), -1);
    assert_int_equal(wst__jwt_life_s(huge + 1, sizeof huge - 2, 1000), 60);
    /* No more than |n| bytes are looked at. */
    assert_int_equal(wst__jwt_life_s("h.eyJleHAiOjEwNjB9.sXX", 20, 1000), 60);
    assert_int_equal(wst__jwt_life_s("h.eyJleHAiOjEwNjB9.s", 18, 1000), -1);
}

static void test_out_of_memory_and_wiped(void **state)
{
    long before = memory_alive();
    char token[256];

    (void)state;
    make_token(token, sizeof token,
               "{\"sub\":\"s3cr3t\",\"s3cr3t\":[{\"x\":\"s3cr3t\"}],\"exp\":1060}");
    memory_plant("s3cr3t");
    assert_int_equal(wst__jwt_life_s(token, strlen(token), 1000), 60);
    assert_int_equal(memory_found(), 0);
    make_token(token, sizeof token, "{\"sub\":\"s3cr3t\",\"exp\":1060");
    assert_int_equal(wst__jwt_life_s(token, strlen(token), 1000), -1);
    assert_int_equal(memory_found(), 0);
    memory_plant(NULL);
    make_token(token, sizeof token, "{\"sub\":\"x\",\"exp\":1060}");
    for (long n = 1;; n++) {
        int64_t life_s;

        memory_fail_at(n);
        life_s = wst__jwt_life_s(token, strlen(token), 1000);
        assert_int_equal(memory_alive(), before);
        if (!memory_failed()) {
            assert_int_equal(life_s, 60);
            break;
        }
        assert_int_equal(life_s, -1);
    }
    memory_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_out_of_memory_and_wiped),
    };

    memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
