/*
 * Any bytes as the token's file, behind a whole client in a simulated world.  The first byte moves
 * the wall clock.  What is taken from the file must be what cJSON alone reads in it; whatever that
 * is, the client comes to be open, and the file is good afterwards.
 */
#include "fuzz.h"
#include "client/client.h"
#include "sim/app.h"

#include <cjson/cJSON.h>
#include <string.h>

#define MOST_BYTES 65536 /* As the port reads. */

static bool done;

static void on_loaded(struct wst_client *client)
{
    (void)client;
    done = true;
}

/* The token was in the file, and the file was of this origin. */
static void check_taken(const struct wst__token *t, const uint8_t *data, size_t size)
{
    cJSON *root = cJSON_ParseWithLength((const char *)data, size);
    const char *origin = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "origin"));
    const char *token = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "token"));

    MUST(origin && strcmp(origin, t->client->shared->config.token_origin) == 0);
    MUST(token && strcmp(token, wst__secret_expose(&t->value)) == 0);
    for (const char *p = token; *p; p++)
        MUST(*p > 0x20 && *p < 0x7f);
    MUST(t->life_ms == -1 || (t->life_ms > 0 && t->age_ms < (uint64_t)t->life_ms));
    cJSON_Delete(root);
}

static void load(struct sim_app *app, const uint8_t *data, size_t size)
{
    struct wst__token *t = app->client->token;

    done = false;
    MUST(wst__token_load(t, on_loaded));
    sim_app_run(app, 100);
    MUST(done && t->loaded);
    if (wst__secret_empty(&t->value))
        MUST(wst__token_state(t, sim_boot_ms(app->w)) == WST__TOKEN_NONE);
    else
        check_taken(t, data, size);
}

/* A token that the server does not know ends in a 401, and the file in a better one. */
static void live(struct sim_app *app)
{
    const struct sim_file *file = sim_file(app->w, "token");
    struct wst__token_record r;

    MUST(sim_start(app) == 0);
    sim_app_run(app, 2000);
    MUST(app->open && file->exists);
    MUST(wst__token_record_read((const char *)file->data.data, file->data.len, &r));
    MUST(strcmp(r.origin, app->client->shared->config.token_origin) == 0);
    MUST(wst__secret_equal(&r.token, &app->client->token->value));
    wst__token_record_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sim_world w;
    static struct sim_app app;
    struct sim_file *file;

    if (size == 0 || size > MOST_BYTES)
        return 0;
    sim_world_init(&w, 1);
    (void)sim_token_mint(&w);
    sim_app_init(&app, &w);
    app.config.token_cache = "token";
    w.wall_offset_s = ((int64_t)data[0] - 128) * (data[0] & 1 ? 1000000 : 100);
    file = sim_file(&w, "token");
    wst__buf_init(&file->data, MOST_BYTES, true);
    file->exists = true;
    MUST(wst__buf_add(&file->data, data + 1, size - 1) == 0);
    sim_app_make(&app);
    load(&app, data + 1, size - 1);
    live(&app);
    sim_app_finish(&app);
    if (w.failure[0])
        fprintf(stderr, "%s\n", w.failure);
    MUST(!w.failure[0]);
    sim_world_fini(&w);
    return 0;
}
