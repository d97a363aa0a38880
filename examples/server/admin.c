/* The admin's endpoints: faults and statistics, for loopback with --admin and for --admin-socket.
 */
#include "api.h"

#include <stdio.h>
#include <string.h>

#include "ws.h"

/* What a command object may say besides the faults. */
struct commands {
    bool revoke_tokens;
    int close_code; /* 0: do not close */
    const char *close_reason;
    const char *drop; /* NULL: do not */
};

static const char *read_close_all(struct commands *commands, const cJSON *value)
{
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(value, "code");
    const cJSON *reason = cJSON_GetObjectItemCaseSensitive(value, "reason");
    const char *text = cJSON_GetStringValue(reason);

    if (!cJSON_IsNumber(code) || code->valuedouble < 1000 || code->valuedouble > 4999)
        return "closeAll.code is not a close code";
    if (reason && (!text || strlen(text) > 123))
        return "closeAll.reason is not a text, or too long";
    commands->close_code = code->valueint;
    commands->close_reason = text;
    return NULL;
}

static const char *read_command(struct commands *commands, const cJSON *value)
{
    if (!strcmp(value->string, "reset"))
        return cJSON_IsBool(value) ? NULL : "reset is neither true nor false";
    if (!strcmp(value->string, "revokeTokens")) {
        commands->revoke_tokens = cJSON_IsTrue(value);
        return cJSON_IsBool(value) ? NULL : "revokeTokens is neither true nor false";
    }
    if (!strcmp(value->string, "closeAll"))
        return read_close_all(commands, value);
    if (!strcmp(value->string, "dropAll")) {
        commands->drop = cJSON_GetStringValue(value);
        if (!commands->drop ||
            (strcmp(commands->drop, "fin") != 0 && strcmp(commands->drop, "rst") != 0))
            return "dropAll is neither \"fin\" nor \"rst\"";
        return NULL;
    }
    return "unknown member";
}

static void run_commands(struct server *server, const struct commands *commands)
{
    if (commands->revoke_tokens)
        jwt_key_set(&server->jwt_key, NULL);
    if (commands->close_code)
        ws_close_all(server->ws, commands->close_code, commands->close_reason);
    if (commands->drop)
        ws_drop_all(server->ws, strcmp(commands->drop, "rst") ? HTTP_DROP_FIN : HTTP_DROP_RST);
}

static bool apply(struct server *server, const cJSON *json, char *why, size_t size)
{
    struct commands commands;
    const cJSON *value;

    memset(&commands, 0, sizeof commands);
    if (!cJSON_IsObject(json)) {
        (void)snprintf(why, size, "not a JSON object");
        return false;
    }
    cJSON_ArrayForEach(value, json)
    {
        const char *wrong = faults_is_step(value->string) ? NULL : read_command(&commands, value);

        if (wrong) {
            (void)snprintf(why, size, "%.64s: %s", value->string, wrong);
            return false;
        }
    }
    if (!faults_set(&server->faults, json, why, size))
        return false;
    run_commands(server, &commands);
    return true;
}

bool admin_apply(struct server *server, const char *text, char *why, size_t size)
{
    cJSON *json = cJSON_Parse(text);
    bool ok = apply(server, json, why, size);

    cJSON_Delete(json);
    return ok;
}

static bool allowed(const struct server *server, const struct exchange *ex)
{
    const struct conn *conn = http_conn_of(ex);

    return conn_is_admin(conn) || (server->options.admin && conn_is_loopback(conn));
}

static void set_faults(struct server *server, struct exchange *ex)
{
    char why[256];

    if (admin_apply(server, ex->req.body ? ex->req.body : "", why, sizeof why))
        api_respond_json(ex, 200, NULL, faults_json(&server->faults));
    else
        api_respond_error(ex, 400, NULL, why);
}

void admin_handle(struct exchange *ex, struct server *server)
{
    bool get = !strcmp(ex->req.method, "GET");
    bool post = !strcmp(ex->req.method, "POST");
    bool is_faults = !strcmp(ex->req.path, "/admin/faults");

    if (!allowed(server, ex) || (!is_faults && strcmp(ex->req.path, "/admin/stats") != 0))
        api_respond_error(ex, 404, NULL, "not found");
    else if (is_faults && post)
        set_faults(server, ex);
    else if (!get)
        api_respond_error(ex, 405, is_faults ? "Allow: GET, POST\r\n" : "Allow: GET\r\n",
                          "method not allowed");
    else
        api_respond_json(ex, 200, NULL,
                         is_faults ? faults_json(&server->faults) : stats_json(&server->stats));
}
