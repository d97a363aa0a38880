/* cJSON's tree: made, walked by pointers, wiped. */
#include "wire/json.h"

#include "base/mem.h"

#include <cjson/cJSON.h>
#include <string.h>

enum wst__json_fault wst__json_read(const char *text, size_t n, struct cJSON **root, size_t *at)
{
    enum wst__json_fault f = wst__json_check(text, n, at);
    size_t skip = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    *root = NULL;
    if (f != WST__JSON_OK)
        return f;
    /* cJSON passes over a byte order mark only when much follows. */
    *root = cJSON_ParseWithLengthOpts(text + skip, n - skip, NULL, 0);
    return *root ? WST__JSON_OK : WST__JSON_NOMEM;
}

static void wipe_text(char *s)
{
    if (s)
        wst__wipe(s, strlen(s));
}

/* The depth is bounded by wst__json_check(). */
static void wipe_list(cJSON *item)
{
    for (; item; item = item->next) {
        wipe_text(item->string);
        wipe_text(item->valuestring);
        wipe_list(item->child);
    }
}

void wst__json_drop(struct cJSON *root)
{
    wipe_list(root);
    cJSON_Delete(root);
}

bool wst__json_pointer_ok(const char *pointer)
{
    if (*pointer && *pointer != '/')
        return false;
    for (; *pointer; pointer++) {
        if (*pointer == '~' && pointer[1] != '0' && pointer[1] != '1')
            return false;
    }
    return true;
}

/* Is |key| the reference token |ref|, of |n| bytes, in which ~1 stands for / and ~0 for ~? */
static bool key_is(const char *key, const char *ref, size_t n)
{
    for (size_t i = 0; i < n; i++, key++) {
        char c = ref[i];

        if (c == '~')
            c = ref[++i] == '1' ? '/' : '~';
        if (*key != c)
            return false;
    }
    return *key == '\0';
}

static const cJSON *member(const cJSON *object, const char *ref, size_t n)
{
    for (const cJSON *item = object->child; item; item = item->next) {
        if (key_is(item->string, ref, n))
            return item;
    }
    return NULL;
}

/* RFC 6901, 4: digits without a leading zero. */
static const cJSON *element(const cJSON *array, const char *ref, size_t n)
{
    const cJSON *item = array->child;
    size_t index = 0;

    if (n == 0 || n > 9 || (n > 1 && ref[0] == '0'))
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (ref[i] < '0' || ref[i] > '9')
            return NULL;
        index = index * 10 + (size_t)(ref[i] - '0');
    }
    while (item && index--)
        item = item->next;
    return item;
}

const struct cJSON *wst__json_at(const struct cJSON *root, const char *pointer)
{
    const cJSON *item = root;

    if (!wst__json_pointer_ok(pointer))
        return NULL;
    while (item && *pointer) {
        const char *ref = pointer + 1;
        size_t n = strcspn(ref, "/");

        if (cJSON_IsObject(item))
            item = member(item, ref, n);
        else
            item = cJSON_IsArray(item) ? element(item, ref, n) : NULL;
        pointer = ref + n;
    }
    return item;
}

const char *wst__json_type(const struct cJSON *item)
{
    switch (item->type & 0xff) {
    case cJSON_False:
    case cJSON_True:
        return "a boolean";
    case cJSON_NULL:
        return "null";
    case cJSON_Number:
        return "a number";
    case cJSON_String:
        return "a string";
    case cJSON_Array:
        return "an array";
    default:
        return "an object";
    }
}

/* -12.5: digits, a fraction perhaps.  By hand, because strtod() minds the locale. */
static bool decimal(const char *s, double *value)
{
    bool negative = *s == '-';
    double scale = 1;

    s += negative;
    if (strlen(s) > 20 || *s < '0' || *s > '9')
        return false;
    for (*value = 0; *s >= '0' && *s <= '9'; s++)
        *value = *value * 10 + (*s - '0');
    if (*s == '.') {
        if (s[1] == '\0')
            return false;
        for (s++; *s >= '0' && *s <= '9'; s++)
            *value += (*s - '0') * (scale /= 10);
    }
    if (negative)
        *value = -*value;
    return *s == '\0';
}

bool wst__json_number(const struct cJSON *item, double *value)
{
    if (cJSON_IsString(item))
        return decimal(item->valuestring, value);
    *value = item->valuedouble;
    return cJSON_IsNumber(item);
}
