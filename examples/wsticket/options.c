/*
 * The command line to settings.  Every error names the option and the fix, and repeats no value
 * that may be a secret.
 */
#include "options.h"

#include "values.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The choices are written as ints through the table's offsets. */
_Static_assert(sizeof(enum wst_expiry_format) == sizeof(int), "enums are ints");

/* The largest token file that is read; a JWT in a header could not be larger. */
#define TOKEN_FILE_MAX 65536

void usage_error(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("wsticket: ", stderr);
    vfprintf(stderr, format, ap);
    fputs("\nTry 'wsticket --help'.\n", stderr);
    va_end(ap);
}

/* What is longer may be a token. */
#define PLAIN_WORD 32U
/* So may be a name without a slash that is longer than this: a JWT is, a file's name is not. */
#define PLAIN_NAME 100U

/* |value| as an error may repeat it: not what may be a secret in a place where it does not belong,
 * as a URL or a header is. */
static const char *shown_value(const char *value)
{
    return strlen(value) > PLAIN_WORD || strpbrk(value, ":?=@/\n") ? "..." : value;
}

/* The same of a path: a person must see which one it is; a URL, a token or a PEM text is none. */
static const char *shown_path(const char *path)
{
    size_t run = 0;
    if (strstr(path, "://"))
        return "...";
    for (const char *p = path; *p; p++) {
        run = *p == '/' ? 0 : run + 1;
        if (run > PLAIN_NAME || *p == '\n')
            return "...";
    }
    return path;
}

/* ---- One value ----------------------------------------------------------------------------- */

/*
 * Moves a secret out of the command line, which every user of the machine can read; for a moment
 * it was there.
 */
static const char *hide(struct settings *s, char *value)
{
    char *copy = must_copy(value);
    bytes_add(&s->secrets, &copy, sizeof(copy));
    memset(value, '*', strlen(value));
    return copy;
}

/* Can it be read?  Says why not. */
static bool readable(const struct option *o, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) != (o->kind == OPTION_DIR)) {
        usage_error("--%s: %s is %s directory", o->name, path, S_ISDIR(st.st_mode) ? "a" : "not a");
        return false;
    }
    if (access(path, R_OK) == 0)
        return true;
    usage_error("--%s: cannot read %s: %s", o->name, shown_path(path), strerror(errno));
    return false;
}

/* What a PEM file must hold, and how one in DER becomes one. */
struct pem {
    const char *label, *what, *convert;
};

/* Is it there, as far as can be told?  What is no file is left alone: who reads a pipe leaves
 * nothing for the library. */
static bool holds_pem(const struct option *o, const char *path, const struct pem *pem)
{
    struct stat st;
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
    char line[128];
    bool found = !f;
    while (!found && fgets(line, sizeof(line), f))
        found = strncmp(line, "-----BEGIN ", 11) == 0 && strstr(line, pem->label);
    if (f)
        fclose(f);
    if (!found)
        usage_error("--%s: there is no PEM %s in %s; one in DER becomes PEM by "
                    "openssl %s -inform DER -in %s",
                    o->name, pem->what, path, pem->convert, path);
    return found;
}

/* Is what the option is for in the file? */
static bool fits(const struct option *o, const char *path)
{
    static const struct pem cert = {"CERTIFICATE-----", "certificate", "x509"};
    static const struct pem key = {"PRIVATE KEY-----", "private key", "pkey"};
    if (o->kind == OPTION_CERTS)
        return holds_pem(o, path, &cert);
    return o->kind != OPTION_KEY || holds_pem(o, path, &key);
}

/* Can it be replaced by another one?  What is there already need not be of use. */
static bool replaceable(const struct option *o, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash > path ? (size_t)(slash - path) : 1;
    struct stat st;
    if (*path == '\0' || (stat(path, &st) == 0 && S_ISDIR(st.st_mode))) {
        usage_error("--%s: %s", o->name, *path ? "is a directory: name a file" : "names no file");
        return false;
    }
    char *dir = must_copy(slash ? path : ".");
    dir[len] = '\0';
    bool good = access(dir, W_OK | X_OK) == 0;
    if (!good)
        usage_error("--%s: no file can be written into %s: %s", o->name, shown_path(dir),
                    strerror(errno));
    free(dir);
    return good;
}

static bool set_choice(const struct option *o, const char *value, int *to)
{
    for (const struct option_choice *c = o->choices; c->name; c++) {
        if (strcmp(value, c->name) == 0) {
            *to = c->value;
            return true;
        }
    }
    struct bytes names = {0};
    for (const struct option_choice *c = o->choices; c->name; c++) {
        bytes_add(&names, c->name, strlen(c->name));
        bytes_add(&names, c[1].name ? ", " : "", c[1].name ? 2 : 1);
    }
    usage_error("--%s: \"%s\" is none of: %s", o->name, shown_value(value), names.data);
    bytes_free(&names);
    return false;
}

static bool set_number(const struct option *o, const char *value, unsigned *to)
{
    uint64_t n;
    uint64_t most = o->number ? (uint64_t)o->number : UINT_MAX;
    if (value_number(value, &n) && n <= most) {
        *to = (unsigned)n;
        return true;
    }
    usage_error("--%s: \"%s\" is not a number from 0 to %llu", o->name, shown_value(value),
                (unsigned long long)most);
    return false;
}

static bool set_time(const struct option *o, const char *value, uint64_t *to)
{
    if (value_time(value, to))
        return true;
    usage_error("--%s: \"%s\" is not a time; write 250, 250ms, 10s, 2m or 1h, at most a week",
                o->name, shown_value(value));
    return false;
}

static bool set_size(const struct option *o, const char *value, size_t *to)
{
    if (value_size(value, to))
        return true;
    usage_error("--%s: \"%s\" is not a size; write 4096, 64k, 16M or 1G", o->name,
                shown_value(value));
    return false;
}

/* "1008,4401": RFC 6455, 7.4 knows codes from 1000 to 4999. */
static bool add_codes(struct settings *s, const struct option *o, char *value)
{
    char *place = NULL;
    char *list = must_copy(value);
    bool good = true;
    s->codes.len = 0;
    for (char *p = strtok_r(list, ",", &place); p && good; p = strtok_r(NULL, ",", &place)) {
        uint64_t n = 0;
        good = value_number(p, &n) && n >= 1000 && n <= 4999;
        uint16_t code = (uint16_t)n;
        bytes_add(&s->codes, &code, sizeof(code));
    }
    free(list);
    good = good && s->codes.len > 0 && s->codes.len <= 16 * sizeof(uint16_t);
    if (!good)
        usage_error("--%s: \"%s\" is not a list of 1 to 16 close codes (1000 to 4999), as in "
                    "1008,4401",
                    o->name, shown_value(value));
    return good;
}

/* The step that "token:", "ticket:" or "connect:" at the front of a header names; NONE: none. */
static enum wst_step header_step(const char *text)
{
    static const struct option_choice steps[] = {{"token:", WST_STEP_TOKEN},
                                                 {"ticket:", WST_STEP_TICKET},
                                                 {"connect:", WST_STEP_CONNECT},
                                                 {NULL, 0}};
    for (const struct option_choice *c = steps; c->name; c++) {
        size_t n = strlen(c->name);
        /* A name must follow: "Ticket: x" and "ticket:x" are headers. */
        size_t name = strncmp(text, c->name, n) == 0 ? strcspn(text + n, ": \t") : 0;
        if (name > 0 && text[n + name] == ':')
            return (enum wst_step)c->value;
    }
    return WST_STEP_NONE;
}

/* "tokn:Origin:x": was a step meant?  Then a header must follow, and not a URL. */
static bool names_other_step(const char *text)
{
    size_t n = strcspn(text, ": \t");
    size_t name = text[n] == ':' ? strcspn(text + n + 1, ": \t") : 0;
    return name > 0 && text[n + 1 + name] == ':' && strncmp(text + n + 1 + name, "://", 3) != 0;
}

static bool add_header(struct settings *s, const struct option *o, char *value)
{
    /* hide() keeps the pointer; what it points to is ours to cut in two. */
    hide(s, value);
    char *text;
    memcpy(&text, s->secrets.data + s->secrets.len - sizeof(text), sizeof(text));
    struct wst_header h = {.step = header_step(text)};
    if (h.step == WST_STEP_NONE && names_other_step(text)) {
        usage_error("--%s: no such step; write token:, ticket: or connect: in front, or a space "
                    "after the first colon if it ends the header's name",
                    o->name);
        return false;
    }
    if (h.step != WST_STEP_NONE)
        text = strchr(text, ':') + 1;
    char *colon = strchr(text, ':');
    if (!colon || colon == text) {
        /* The text is not repeated: it may hold a credential. */
        usage_error("--%s: not of the form [STEP:]NAME:VALUE, as in connect:Origin:https://x.test",
                    o->name);
        return false;
    }
    *colon = '\0';
    h.name = text;
    h.value = colon + 1 + strspn(colon + 1, " \t");
    bytes_add(&s->headers, &h, sizeof(h));
    return true;
}

static void set_flag(struct settings *s, const struct option *o)
{
    memcpy((char *)s + o->offset, &o->number, sizeof(o->number));
}

static bool set_value(struct settings *s, const struct option *o, char *value)
{
    char *to = (char *)s + o->offset;
    switch (o->kind) {
    case OPTION_FLAG: /* It has no value. */
        return false;
    case OPTION_FILE:
    case OPTION_CERTS:
    case OPTION_KEY:
    case OPTION_DIR:
        if (!readable(o, value) || !fits(o, value))
            return false;
        *(const char **)(void *)to = value;
        return true;
    case OPTION_NEW_FILE:
        if (!replaceable(o, value))
            return false;
        *(const char **)(void *)to = value;
        return true;
    case OPTION_TEXT:
        *(const char **)(void *)to = value;
        return true;
    case OPTION_SECRET:
        *(const char **)(void *)to = hide(s, value);
        return true;
    case OPTION_TIME:
        return set_time(o, value, (uint64_t *)(void *)to);
    case OPTION_SIZE:
        return set_size(o, value, (size_t *)(void *)to);
    case OPTION_NUMBER:
        return set_number(o, value, (unsigned *)(void *)to);
    case OPTION_CHOICE:
        return set_choice(o, value, (int *)(void *)to);
    case OPTION_STRINGS:
        bytes_add(&s->subprotocols, &value, sizeof(value));
        return true;
    case OPTION_HEADERS:
        return add_header(s, o, value);
    case OPTION_CODES:
        return add_codes(s, o, value);
    }
    return false;
}

/* ---- The command line ---------------------------------------------------------------------- */

static const struct option *find(const char *name, size_t len)
{
    for (const struct option *o = options_table; o->help; o++)
        if (o->name && strlen(o->name) == len && strncmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static const struct option *find_letter(char letter)
{
    for (const struct option *o = options_table; o->help; o++)
        if (letter && o->letter == letter)
            return o;
    return NULL;
}

/* Repeats of it what can be the name alone: a value may be written right behind. */
static void unknown_option(const char *text, bool is_long)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (n > (is_long ? PLAIN_WORD : 2))
        n = 2;
    if (!is_long && text[n] && find_letter(text[1]))
        usage_error("%.*s is followed by something: write options apart, as in -q -v", (int)n,
                    text);
    else
        usage_error("unknown option %.*s%s", (int)n, text, text[n] ? "..." : "");
}

/*
 * Reads the option at argv[*at] and its value: "--name VALUE" or "--name=VALUE", or one letter.
 * Names are not abbreviated: an option that is added later cannot change what a script means.
 */
static bool parse_option(struct settings *s, int argc, char **argv, int *at)
{
    char *text = argv[*at];
    bool is_long = text[1] == '-';
    char *equals = is_long ? strchr(text, '=') : NULL;
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    const struct option *o = is_long    ? find(text + 2, len - 2)
                             : len == 2 ? find_letter(text[1])
                                        : NULL;
    if (!o) {
        unknown_option(text, is_long);
        return false;
    }
    if (!o->argument && equals) {
        usage_error("--%s takes no value", o->name);
        return false;
    }
    if (!o->argument) {
        set_flag(s, o);
        return true;
    }
    if (!equals && *at + 1 >= argc) {
        usage_error("--%s needs a value: --%s %s", o->name, o->name, o->argument);
        return false;
    }
    return set_value(s, o, equals ? equals + 1 : argv[++*at]);
}

/* What is not an option: first "connect", then URL. */
static bool parse_word(struct settings *s, char *word, bool *command)
{
    if (!*command && strcmp(word, "connect") == 0) {
        *command = true;
        return true;
    }
    if (!*command) {
        if (shown_value(word) == word)
            usage_error("unknown command \"%s\": write wsticket connect URL", word);
        else
            usage_error("the command is missing: write wsticket connect URL");
        return false;
    }
    if (s->config.url) {
        usage_error("more than one URL, or a stray word after it");
        return false;
    }
    /* It may hold a password or a query: kept off the command line as well. */
    s->config.url = hide(s, word);
    return true;
}

static bool parse_words(struct settings *s, int argc, char **argv)
{
    bool command = false, options = true;
    for (int i = 1; i < argc; i++) {
        bool good;
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
            continue;
        }
        if (options && argv[i][0] == '-' && argv[i][1] != '\0')
            good = parse_option(s, argc, argv, &i);
        else
            good = parse_word(s, argv[i], &command);
        if (!good)
            return false;
    }
    if (s->help || s->version)
        return true;
    if (!command)
        usage_error("nothing to do: write wsticket connect URL");
    else if (!s->config.url && !s->config.ws_url)
        usage_error("connect needs a URL: https://HOST[/prefix] or wss://HOST/path");
    return command && (s->config.url || s->config.ws_url);
}

/* ---- What the whole must be ---------------------------------------------------------------- */

/* Reads the token file: one line, white space around it does not count. */
static bool read_token_file(struct settings *s)
{
    FILE *f = fopen(s->token_file, "re");
    if (!f) {
        usage_error("--token-file: cannot read %s: %s", s->token_file, strerror(errno));
        return false;
    }
    char *text = must_alloc(TOKEN_FILE_MAX + 1);
    bytes_add(&s->secrets, &text, sizeof(text));
    setvbuf(f, NULL, _IONBF, 0); /* No copy stays behind in a buffer of stdio. */
    size_t n = fread(text, 1, TOKEN_FILE_MAX, f);
    bool whole = n < TOKEN_FILE_MAX && !ferror(f);
    fclose(f);
    text[n] = '\0';
    while (n > 0 && strchr(" \t\r\n", text[n - 1]))
        text[--n] = '\0';
    text += strspn(text, " \t\r\n");
    s->config.token = text;
    s->token_from = "--token-file";
    if (whole && *text)
        return true;
    usage_error("--token-file: %s %s", s->token_file,
                whole ? "is empty" : "could not be read as a token (at most 64 KiB)");
    return false;
}

static bool set_token(struct settings *s)
{
    if (s->token_file)
        return read_token_file(s);
    const char *env = getenv("WSTICKET_TOKEN");
    bool wanted = s->config.token_step != WST_STEP_MODE_OMIT && !s->config.token;
    if (wanted && env && *env) {
        s->config.token = env;
        s->token_from = "WSTICKET_TOKEN";
    }
    return true;
}

/* Options that exclude each other, or need each other. */
static bool consistent(const struct settings *s)
{
    struct wst_config plain;
    wst_config_init(&plain);
    if (s->config.token && s->token_file)
        usage_error("--token and --token-file exclude each other: choose one");
    else if (s->config.token_step == WST_STEP_MODE_OMIT && (s->config.token || s->token_file))
        usage_error("--no-token leaves the token out: it cannot go with --token or --token-file");
    else if (s->once && s->config.max_attempts > 1)
        usage_error("--once is one attempt: it cannot go with --max-attempts %u",
                    s->config.max_attempts);
    else if (!s->config.compress && (s->config.compress_offer != plain.compress_offer ||
                                     s->config.compress_min_bytes != plain.compress_min_bytes))
        usage_error("--compress-offer and --compress-min say how: they need --compress");
    else if (s->quiet && s->verbose)
        usage_error("--quiet and --verbose exclude each other: choose one");
    else
        return true;
    return false;
}

static void point_to_lists(struct settings *s)
{
    struct wst_config *c = &s->config;
    if (s->subprotocols.len) {
        c->subprotocols = (const char *const *)(void *)s->subprotocols.data;
        c->subprotocol_count = s->subprotocols.len / sizeof(char *);
    }
    if (s->headers.len) {
        c->headers = (const struct wst_header *)(void *)s->headers.data;
        c->header_count = s->headers.len / sizeof(struct wst_header);
    }
    if (s->codes.len) {
        c->unauthorized_codes = (const uint16_t *)(void *)s->codes.data;
        c->unauthorized_count = s->codes.len / sizeof(uint16_t);
    }
}

void settings_init(struct settings *s)
{
    memset(s, 0, sizeof(*s));
    wst_config_init(&s->config);
}

bool settings_parse(struct settings *s, int argc, char **argv)
{
    if (!parse_words(s, argc, argv))
        return false;
    if (s->help || s->version)
        return true;
    if (!consistent(s) || !set_token(s))
        return false;
    point_to_lists(s);
    if (s->once)
        s->config.max_attempts = 1;
    s->log_attempts = s->config.log_level >= WST_LOG_INFO;
    if (s->verbose && s->config.log_level < WST_LOG_INFO)
        s->config.log_level = WST_LOG_INFO;
    return true;
}

void settings_wipe(struct settings *s)
{
    size_t count = s->secrets.len / sizeof(char *);
    for (size_t i = 0; i < count; i++) {
        char *secret;
        memcpy(&secret, s->secrets.data + i * sizeof(secret), sizeof(secret));
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
    s->secrets.len = 0;
    memset(&s->config, 0, sizeof(s->config));
}

void settings_fini(struct settings *s)
{
    settings_wipe(s);
    bytes_free(&s->secrets);
    bytes_free(&s->headers);
    bytes_free(&s->subprotocols);
    bytes_free(&s->codes);
}

/* The option that sets the field whose name is the |n| bytes at |word|. */
static const struct option *find_field(const char *word, size_t n)
{
    for (const struct option *o = options_table; o->help; o++)
        if (o->field && strlen(o->field) == n && strncmp(o->field, word, n) == 0)
            return o;
    return NULL;
}

/* What the user knows the field as that |o| sets. */
static void add_option(const struct option *o, const char *token_from, struct bytes *to)
{
    if (token_from && strcmp(o->field, "token") == 0) {
        bytes_add(to, token_from, strlen(token_from));
        return;
    }
    bytes_add(to, "--", 2);
    bytes_add(to, o->name, strlen(o->name));
}

void options_translate(const char *text, const char *token_from, struct bytes *to)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
    static const char last_one[] = "; the last one: ";
    const char *inner = strstr(text, last_one);
    const char *front = inner ? inner + sizeof(last_one) - 1 : text;
    for (const char *p = text; *p;) {
        size_t n = strspn(p, letters);
        /* "token" and "proxy" are words too, but for the front of "token: ..."; "cap_ms" is none.
         */
        bool name = memchr(p, '_', n) || ((p == text || p == front) && strchr(":,[", p[n]));
        const struct option *o = n && name ? find_field(p, n) : NULL;
        if (o) {
            add_option(o, token_from, to);
        } else if (p == text && n == 3 && strncmp(p, "url", n) == 0) {
            bytes_add(to, "URL", n); /* The one field that is no option. */
        } else {
            bytes_add(to, p, n ? n : 1);
        }
        p += n ? n : 1;
    }
    bytes_add(to, "", 1);
}
