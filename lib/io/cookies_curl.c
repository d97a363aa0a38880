/*
 * libcurl keeps the cookies of steps 1 and 2 in the net's share, and sends them by itself in those
 * steps.  Step 3 is not libcurl's: it lists them all, and the choice is made here.
 */
#include "io/cookies_curl.h"

#include "base/mem.h"
#include "io/io.h"
#include "io/net.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of all cookies of a net, as libcurl lists them. */
#define JAR_MAX_BYTES ((size_t)32 * 1024)
/* What is sent of them, as by libcurl in steps 1 and 2: the others are left out. */
#define SENT_MAX_BYTES ((size_t)8 * 1024)

/* Cuts the next field off; libcurl puts tabs between them. */
static char *field(char **rest)
{
    char *start = *rest;
    char *tab;

    if (!start)
        return NULL;
    tab = strchr(start, '\t');
    if (tab)
        *tab = '\0';
    *rest = tab ? tab + 1 : NULL;
    return start;
}

static bool host_matches(const char *domain, bool below, const char *host)
{
    size_t n;
    size_t host_len = strlen(host);

    if (*domain == '.')
        domain++;
    n = strlen(domain);
    if (n == 0 || n > host_len || strcasecmp(host + host_len - n, domain) != 0)
        return false;
    return n == host_len || (below && host[host_len - n - 1] == '.');
}

static bool path_matches(const char *cookie, const char *path)
{
    size_t n = strlen(cookie);

    if (strncmp(cookie, path, n) != 0)
        return false;
    return n == 0 || cookie[n - 1] == '/' || path[n] == '/' || path[n] == '\0';
}

bool wst__cookie_match(char *line, const struct wst__cookie_target *target, const char **name,
                       const char **value)
{
    static const char http_only[] = "#HttpOnly_";
    char *rest = line;
    char *domain = field(&rest);
    char *below = field(&rest);
    char *path = field(&rest);
    char *secure = field(&rest);
    char *expires = field(&rest);
    char *cookie = field(&rest);
    int64_t end;

    if (!cookie)
        return false;
    if (strncmp(domain, http_only, sizeof http_only - 1) == 0)
        domain += sizeof http_only - 1;
    end = strtoll(expires, NULL, 10);
    if (!host_matches(domain, strcmp(below, "TRUE") == 0, target->host) ||
        !path_matches(path, target->path) || (strcmp(secure, "TRUE") == 0 && !target->secure) ||
        (end != 0 && end <= target->wall_s))
        return false;
    *name = cookie;
    *value = rest ? rest : "";
    return true;
}

static int add_one(char *line, const struct wst__cookie_target *target, size_t begin,
                   struct wst__buf *out)
{
    const char *name;
    const char *value;
    int rc = 0;

    if (!wst__cookie_match(line, target, &name, &value) ||
        out->len - begin + strlen(name) + strlen(value) + sizeof "; =" - 1 > SENT_MAX_BYTES)
        return 0;
    if (out->len > begin)
        rc = wst__buf_adds(out, "; ");
    if (rc == 0)
        rc = wst__buf_adds(out, name);
    if (rc == 0)
        rc = wst__buf_adds(out, "=");
    if (rc == 0)
        rc = wst__buf_adds(out, value);
    return rc;
}

/* A handle on the share, made only to look at its cookies.  NULL: out of memory. */
static CURL *open_jar(const struct wst__net *net)
{
    CURL *easy = curl_easy_init();

    if (easy && (curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "") != CURLE_OK ||
                 curl_easy_setopt(easy, CURLOPT_SHARE, net->share) != CURLE_OK)) {
        curl_easy_cleanup(easy);
        easy = NULL;
    }
    return easy;
}

static struct curl_slist *list_all(const struct wst__net *net)
{
    struct curl_slist *list = NULL;
    CURL *jar = open_jar(net);

    if (!jar)
        return NULL;
    (void)curl_easy_getinfo(jar, CURLINFO_COOKIELIST, &list);
    curl_easy_cleanup(jar);
    return list;
}

static size_t wipe_and_free(struct curl_slist *list)
{
    size_t bytes = 0;

    for (struct curl_slist *s = list; s; s = s->next) {
        bytes += strlen(s->data);
        wst__wipe(s->data, strlen(s->data));
    }
    curl_slist_free_all(list);
    return bytes;
}

void wst__cookies_bound(const struct wst__net *net)
{
    CURL *jar;

    if (!net->share || wipe_and_free(list_all(net)) <= JAR_MAX_BYTES)
        return;
    jar = open_jar(net);
    if (!jar)
        return; /* After the next answer, then. */
    (void)curl_easy_setopt(jar, CURLOPT_COOKIELIST, "ALL");
    curl_easy_cleanup(jar);
}

/* Values are secrets.  A line that was looked at is cut in pieces: its length is counted first. */
static int add_and_free(struct curl_slist *list, const struct wst__cookie_target *target,
                        struct wst__buf *out)
{
    int rc = 0;
    size_t begin = out->len;

    for (struct curl_slist *s = list; s; s = s->next) {
        size_t n = strlen(s->data);

        if (rc == 0)
            rc = add_one(s->data, target, begin, out);
        wst__wipe(s->data, n);
    }
    curl_slist_free_all(list);
    return rc;
}

/* What never leaves the machine counts as secure, as for libcurl. */
static bool is_this_machine(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 ||
           strcmp(host, "[::1]") == 0;
}

int wst__cookies(struct wst__net *net, const char *url, struct wst__buf *out)
{
    struct wst__cookie_target target;
    struct wst__time now;
    CURLU *parts;
    char *scheme = NULL;
    char *host = NULL;
    char *path = NULL;
    int rc = WST_ERR_INVALID;

    if (!net->share)
        return 0;
    parts = curl_url();
    if (!parts)
        return WST_ERR_NOMEM;
    if (curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK) {
        wst__clock_read(&net->io->clock, &now);
        target.host = host;
        target.path = path;
        target.secure =
            strcmp(scheme, "https") == 0 || strcmp(scheme, "wss") == 0 || is_this_machine(host);
        target.wall_s = now.wall_s;
        rc = add_and_free(list_all(net), &target, out);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(path);
    curl_url_cleanup(parts);
    return rc;
}
