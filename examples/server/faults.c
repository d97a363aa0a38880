/* Faults.
 *
 * One table names every field, its type, its bounds and the steps that know it; reading, checking
 * and the error texts follow from it.  A fault in use is counted by reference, so that replacing it
 * does not pull it away from a request that is still being delayed.
 */
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static const char *const step_names[FAULT_STEP_COUNT] = {[FAULT_ACCEPT] = "accept",
                                                         [FAULT_TOKEN] = "token",
                                                         [FAULT_TICKET] = "ticket",
                                                         [FAULT_UPGRADE] = "upgrade",
                                                         [FAULT_OPEN] = "open"};

#define BIT(step) (1u << (step))
#define IN_HTTP   (BIT(FAULT_TOKEN) | BIT(FAULT_TICKET) | BIT(FAULT_UPGRADE))

enum field_type { FIELD_LONG, FIELD_BOOL, FIELD_TEXT, FIELD_DROP };

#define MAX_MS   3600000L
#define MAX_TEXT 1024
#define OFF(f)   offsetof(struct fault, f)

static const struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    unsigned steps;
    long min, max; /* of a number; |max| also bounds the length of a text */
} fields[] = {
    {"count", FIELD_LONG, OFF(count), ~0u, 1, 1000000000},
    {"delayMs", FIELD_LONG, OFF(delay_ms), IN_HTTP, 0, MAX_MS},
    {"status", FIELD_LONG, OFF(status), IN_HTTP, 100, 999},
    {"retryAfter", FIELD_TEXT, OFF(retry_after), IN_HTTP, 0, MAX_TEXT},
    {"location", FIELD_TEXT, OFF(location), IN_HTTP, 0, MAX_TEXT},
    {"body", FIELD_TEXT, OFF(body), IN_HTTP, 0, 1 << 20},
    {"bodySize", FIELD_LONG, OFF(body_size), IN_HTTP, 0, 1L << 28},
    {"contentType", FIELD_TEXT, OFF(content_type), IN_HTTP, 0, MAX_TEXT},
    {"retryAfterMs", FIELD_LONG, OFF(retry_after_ms), IN_HTTP, 0, 1000000000},
    {"reconnectSpreadMs", FIELD_LONG, OFF(reconnect_spread_ms), IN_HTTP, 0, 1000000000},
    {"drop", FIELD_DROP, OFF(drop), ~0u, 0, 0},
    {"stall", FIELD_BOOL, OFF(stall), IN_HTTP | BIT(FAULT_ACCEPT), 0, 0},
    {"ttl", FIELD_LONG, OFF(ttl), BIT(FAULT_TOKEN) | BIT(FAULT_TICKET), 1, 86400},
    {"same", FIELD_BOOL, OFF(same), BIT(FAULT_TICKET), 0, 0},
    {"closeCode", FIELD_LONG, OFF(close_code), BIT(FAULT_OPEN), 1000, 4999},
    {"closeReason", FIELD_TEXT, OFF(close_reason), BIT(FAULT_OPEN), 0, 123},
    {"afterMs", FIELD_LONG, OFF(after_ms), BIT(FAULT_OPEN), 0, MAX_MS},
    {"mute", FIELD_BOOL, OFF(mute), BIT(FAULT_OPEN), 0, 0},
    {"stopReading", FIELD_BOOL, OFF(stop_reading), BIT(FAULT_OPEN), 0, 0},
};

static void *member(struct fault *fault, const struct field *field)
{
    return (char *)fault + field->offset;
}

static const char *read_number(struct fault *fault, const struct field *field, const cJSON *value)
{
    double n = value->valuedouble;

    if (!cJSON_IsNumber(value) || n < (double)field->min || n > (double)field->max ||
        n != (double)(long)n)
        return "is not a whole number within its bounds";
    *(long *)member(fault, field) = (long)n;
    return NULL;
}

static const char *read_text(struct fault *fault, const struct field *field, const cJSON *value)
{
    const char *text = cJSON_GetStringValue(value);

    if (!text || strlen(text) > (size_t)field->max)
        return "is not a text, or too long";
    /* All but the body become a header line or a close reason. */
    if (strcmp(field->name, "body") != 0 && strpbrk(text, "\r\n"))
        return "has a line break";
    *(const char **)member(fault, field) = text;
    return NULL;
}

static const char *read_drop(struct fault *fault, const struct field *field, const cJSON *value)
{
    const char *text = cJSON_GetStringValue(value);

    if (!text || (strcmp(text, "fin") != 0 && strcmp(text, "rst") != 0))
        return "is neither \"fin\" nor \"rst\"";
    *(enum fault_drop *)member(fault, field) =
        strcmp(text, "fin") ? FAULT_DROP_RST : FAULT_DROP_FIN;
    return NULL;
}

static const char *read_field(struct fault *fault, enum fault_step step, const cJSON *value)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(fields); i++) {
        const struct field *field = &fields[i];

        if (strcmp(field->name, value->string) != 0 || !(field->steps & BIT(step)))
            continue;
        switch (field->type) {
        case FIELD_LONG:
            return read_number(fault, field, value);
        case FIELD_TEXT:
            return read_text(fault, field, value);
        case FIELD_DROP:
            return read_drop(fault, field, value);
        case FIELD_BOOL:
            if (!cJSON_IsBool(value))
                return "is neither true nor false";
            *(bool *)member(fault, field) = cJSON_IsTrue(value);
            return NULL;
        }
    }
    return "is not a field of this step";
}

void fault_unref(struct fault *fault)
{
    if (!fault || --fault->refs)
        return;
    cJSON_Delete(fault->source);
    free(fault);
}

/* NULL with the reason in |why| when a field is wrong. */
static struct fault *read_fault(enum fault_step step, const cJSON *json, char *why, size_t size)
{
    struct fault *fault = xalloc(sizeof *fault);
    const char *wrong = NULL;
    const cJSON *value;

    fault->refs = 1;
    fault->count = fault->retry_after_ms = fault->reconnect_spread_ms = -1;
    /* The texts of the copy live as long as the fault. */
    fault->source = cJSON_Duplicate(json, 1);
    cJSON_ArrayForEach(value, fault->source)
    {
        wrong = read_field(fault, step, value);
        if (wrong) {
            (void)snprintf(why, size, "%s.%s %s", step_names[step], value->string, wrong);
            fault_unref(fault);
            return NULL;
        }
    }
    return fault;
}

static int step_of(const char *name)
{
    int i;

    for (i = 0; i < FAULT_STEP_COUNT; i++)
        if (!strcmp(step_names[i], name))
            return i;
    return -1;
}

bool faults_is_step(const char *name)
{
    return step_of(name) >= 0;
}

bool faults_set(struct faults *faults, const cJSON *json, char *why, size_t size)
{
    struct fault *made[FAULT_STEP_COUNT] = {NULL};
    bool named[FAULT_STEP_COUNT] = {false};
    bool reset = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "reset"));
    const cJSON *value;
    bool ok = true;
    int i;

    cJSON_ArrayForEach(value, json)
    {
        i = step_of(value->string);
        if (i < 0)
            continue;
        named[i] = true;
        if (cJSON_IsObject(value) && value->child) {
            made[i] = read_fault((enum fault_step)i, value, why, size);
            ok = ok && made[i];
        } else if (!cJSON_IsNull(value) && !cJSON_IsObject(value)) {
            (void)snprintf(why, size, "%s is not an object", value->string);
            ok = false;
        }
        if (!ok)
            break;
    }
    for (i = 0; i < FAULT_STEP_COUNT; i++) {
        if (ok && (reset || named[i])) {
            fault_unref(faults->step[i]);
            faults->step[i] = made[i];
        } else {
            fault_unref(made[i]);
        }
    }
    return ok;
}

cJSON *faults_json(const struct faults *faults)
{
    cJSON *json = cJSON_CreateObject();
    int i;

    for (i = 0; i < FAULT_STEP_COUNT; i++) {
        const struct fault *fault = faults->step[i];
        cJSON *copy;

        if (!fault)
            continue;
        copy = cJSON_Duplicate(fault->source, 1);
        if (fault->count >= 0)
            cJSON_SetNumberValue(cJSON_GetObjectItemCaseSensitive(copy, "count"),
                                 (double)fault->count);
        cJSON_AddItemToObject(json, step_names[i], copy);
    }
    return json;
}

struct fault *faults_take(struct faults *faults, enum fault_step step)
{
    struct fault *fault = faults->step[step];

    if (!fault)
        return NULL;
    if (fault->count == 1)
        faults->step[step] = NULL; /* The table's reference becomes the caller's. */
    else
        fault->refs++;
    if (fault->count > 0)
        fault->count--;
    return fault;
}

void faults_clear(struct faults *faults)
{
    int i;

    for (i = 0; i < FAULT_STEP_COUNT; i++) {
        fault_unref(faults->step[i]);
        faults->step[i] = NULL;
    }
}
