#include "memory.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static long countdown; /* 0: nothing fails. */
static bool failed;
static long alive;
static const char *planted;
static long found;

static bool fails(void)
{
    if (countdown == 0 || --countdown > 0)
        return false;
    failed = true;
    return true;
}

/* |n| bytes, and all of them defined while a secret is looked for. */
static void *get(size_t n)
{
    void *p = fails() ? NULL : __real_malloc(n);

    if (!p)
        return NULL;
    alive++;
    if (planted)
        memset(p, 0xa5, malloc_usable_size(p));
    return p;
}

static bool contains(const char *p, size_t n, const char *what)
{
    size_t len = strlen(what);

    for (size_t i = 0; i + len <= n; i++) {
        if (memcmp(p + i, what, len) == 0)
            return true;
    }
    return false;
}

void *__wrap_malloc(size_t n)
{
    return get(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *p = get(n * size);

    return p ? memset(p, 0, n * size) : NULL;
}

void __wrap_free(void *p)
{
    if (!p)
        return;
    alive--;
    if (planted && contains(p, malloc_usable_size(p), planted))
        found++;
    __real_free(p);
}

/* Always to another place, so that what is left behind is looked through. */
void *__wrap_realloc(void *p, size_t n)
{
    void *moved = get(n);
    size_t old;

    if (!moved || !p)
        return moved;
    old = malloc_usable_size(p);
    memcpy(moved, p, old < n ? old : n);
    __wrap_free(p);
    return moved;
}

/* What libcurl leaves behind in its own blocks is not ours to wipe. */
static void curl_free_block(void *p)
{
    const char *secret = planted;

    planted = NULL;
    __wrap_free(p);
    planted = secret;
}

static void *curl_realloc_block(void *p, size_t n)
{
    const char *secret = planted;

    planted = NULL;
    p = __wrap_realloc(p, n);
    planted = secret;
    return p;
}

static char *curl_strdup_block(const char *s)
{
    char *copy = get(strlen(s) + 1);

    return copy ? memcpy(copy, s, strlen(s) + 1) : NULL;
}

void memory_init(void)
{
    cJSON_Hooks hooks = {__wrap_malloc, __wrap_free};

    cJSON_InitHooks(&hooks);
    (void)curl_global_init_mem(CURL_GLOBAL_NOTHING, __wrap_malloc, curl_free_block,
                               curl_realloc_block, curl_strdup_block, __wrap_calloc);
}

void memory_fail_at(long n)
{
    countdown = n;
    failed = false;
}

bool memory_failed(void)
{
    return failed;
}

long memory_alive(void)
{
    return alive;
}

void memory_plant(const char *secret)
{
    planted = secret;
    found = 0;
}

long memory_found(void)
{
    return found;
}
