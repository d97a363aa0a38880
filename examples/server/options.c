/* The command line. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "Usage: wsticket-server [OPTION]...\n"
    "A ticket server for development and tests of libwsticket; not for production.\n"
    "\n"
    "Listening:\n"
    "  --listen HOST:PORT     default 127.0.0.1:8443 with TLS, 127.0.0.1:8080 without;\n"
    "                         port 0 takes a free one\n"
    "  --port-file FILE       write the port to FILE\n"
    "  --cert FILE --key FILE serve TLS with this certificate chain and key (PEM)\n"
    "  --tls-self-signed      serve TLS with a throw-away authority and certificate\n"
    "  --ca-out FILE          write the authority's certificate to FILE; without\n"
    "                         --cert it asks for --tls-self-signed, too\n"
    "  --tls-dir DIR          keep certificate and key in DIR for the next start\n"
    "  --name NAME            one more host name or address in the certificate\n"
    "  --alpn NAME            answer this protocol whatever the client offers (a fault)\n"
    "\n"
    "Tokens and tickets:\n"
    "  --jwt-secret SECRET    sign with SECRET (default: random; visible in ps, so better\n"
    "                         in the environment: WSTICKET_SERVER_JWT_SECRET)\n"
    "  --jwt-ttl S            life of a token (3600)\n"
    "  --ticket-ttl S         life of a ticket (30)\n"
    "  --open                 hand out tickets without a token\n"
    "  --redis URL            keep tickets in Redis: redis://[[user]:password@]host[:port][/db]\n"
    "  --redis-timeout MS     a command not answered by then has failed (2000)\n"
    "\n"
    "WebSocket:\n"
    "  --reject close|http|http403\n"
    "                         refuse a bad ticket by close code 4401, or by HTTP 401 or 403\n"
    "  --ticket-in query|header|subprotocol, --ticket-name NAME\n"
    "                         where the ticket is, and its parameter's name (ticket), its\n"
    "                         header's name (X-Ticket), or the prefix of its subprotocol\n"
    "  --prefix PATH          serve all endpoints below PATH\n"
    "  --subprotocol NAME     select NAME when a client offers it (may be repeated)\n"
    "  --deflate              accept permessage-deflate\n"
    "  --max-message BYTES    longest message (67108864)\n"
    "  --fragment BYTES       echo in fragments of this size\n"
    "\n"
    "Faults:\n"
    "  --fault JSON           begin with these faults, e.g. "
    "'{\"ticket\":{\"status\":503,\"count\":2}}'\n"
    "  --admin                take faults at /admin/faults from loopback\n"
    "  --admin-socket PATH    take them on a Unix socket (HTTP, this user only)\n"
    "\n"
    "  --timestamps           begin each log line with the time\n"
    "  --help, --version\n";

enum {
    OPT_LISTEN = 256,
    OPT_PORT_FILE,
    OPT_CERT,
    OPT_KEY,
    OPT_SELF_SIGNED,
    OPT_CA_OUT,
    OPT_TLS_DIR,
    OPT_NAME,
    OPT_ALPN,
    OPT_JWT_SECRET,
    OPT_JWT_TTL,
    OPT_TICKET_TTL,
    OPT_OPEN,
    OPT_REDIS,
    OPT_REDIS_TIMEOUT,
    OPT_REJECT,
    OPT_TICKET_IN,
    OPT_TICKET_NAME,
    OPT_PREFIX,
    OPT_SUBPROTOCOL,
    OPT_DEFLATE,
    OPT_MAX_MESSAGE,
    OPT_FRAGMENT,
    OPT_FAULT,
    OPT_ADMIN,
    OPT_ADMIN_SOCKET,
    OPT_TIMESTAMPS,
    OPT_HELP,
    OPT_VERSION
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"port-file", required_argument, NULL, OPT_PORT_FILE},
    {"cert", required_argument, NULL, OPT_CERT},
    {"key", required_argument, NULL, OPT_KEY},
    {"tls-self-signed", no_argument, NULL, OPT_SELF_SIGNED},
    {"ca-out", required_argument, NULL, OPT_CA_OUT},
    {"tls-dir", required_argument, NULL, OPT_TLS_DIR},
    {"name", required_argument, NULL, OPT_NAME},
    {"alpn", required_argument, NULL, OPT_ALPN},
    {"jwt-secret", required_argument, NULL, OPT_JWT_SECRET},
    {"jwt-ttl", required_argument, NULL, OPT_JWT_TTL},
    {"ticket-ttl", required_argument, NULL, OPT_TICKET_TTL},
    {"open", no_argument, NULL, OPT_OPEN},
    {"redis", required_argument, NULL, OPT_REDIS},
    {"redis-timeout", required_argument, NULL, OPT_REDIS_TIMEOUT},
    {"reject", required_argument, NULL, OPT_REJECT},
    {"ticket-in", required_argument, NULL, OPT_TICKET_IN},
    {"ticket-name", required_argument, NULL, OPT_TICKET_NAME},
    {"prefix", required_argument, NULL, OPT_PREFIX},
    {"subprotocol", required_argument, NULL, OPT_SUBPROTOCOL},
    {"deflate", no_argument, NULL, OPT_DEFLATE},
    {"max-message", required_argument, NULL, OPT_MAX_MESSAGE},
    {"fragment", required_argument, NULL, OPT_FRAGMENT},
    {"fault", required_argument, NULL, OPT_FAULT},
    {"admin", no_argument, NULL, OPT_ADMIN},
    {"admin-socket", required_argument, NULL, OPT_ADMIN_SOCKET},
    {"timestamps", no_argument, NULL, OPT_TIMESTAMPS},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0}};

static bool complain(const char *name, const char *what)
{
    (void)fprintf(stderr, "wsticket-server: --%s %s\n", name, what);
    return false;
}

static bool number(const char *name, const char *text, long min, long max, long *out)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < min || n > max) {
        (void)fprintf(stderr, "wsticket-server: --%s wants a number from %ld to %ld\n", name, min,
                      max);
        return false;
    }
    *out = n;
    return true;
}

/* Sets |*out| to the index of |text| among |words|. */
static bool choice(const char *name, const char *text, const char *const words[3], int *out)
{
    for (*out = 0; *out < 3; (*out)++)
        if (!strcmp(words[*out], text))
            return true;
    (void)fprintf(stderr, "wsticket-server: --%s wants %s, %s or %s\n", name, words[0], words[1],
                  words[2]);
    return false;
}

static bool append(const char *name, const char *text, const char **list, size_t *count)
{
    if (*count == MAX_NAMES)
        return complain(name, "was given too often");
    list[(*count)++] = text;
    return true;
}

static bool set_number(struct options *o, int opt, const char *name, const char *arg)
{
    switch (opt) {
    case OPT_JWT_TTL:
        return number(name, arg, 1, 365L * 86400, &o->jwt_ttl);
    case OPT_TICKET_TTL:
        return number(name, arg, 1, 86400, &o->ticket_ttl);
    case OPT_REDIS_TIMEOUT:
        return number(name, arg, 1, 60000, &o->redis_timeout_ms);
    case OPT_MAX_MESSAGE:
        return number(name, arg, 1, 1L << 30, &o->max_message);
    default:
        return number(name, arg, 1, 1L << 30, &o->fragment);
    }
}

static bool set_list(struct options *o, int opt, const char *name, const char *arg)
{
    switch (opt) {
    case OPT_NAME:
        return append(name, arg, o->names, &o->tls.name_count);
    case OPT_SUBPROTOCOL:
        if (!*arg || strpbrk(arg, " ,;\t\"/()<>@:\\[]?={}"))
            return complain(name, "wants one token");
        return append(name, arg, o->subprotocols, &o->subprotocol_count);
    default:
        return append(name, arg, o->faults, &o->fault_count);
    }
}

static bool set_choice(struct options *o, int opt, const char *name, const char *arg)
{
    static const char *const rejects[3] = {"close", "http", "http403"};
    static const char *const places[3] = {"query", "header", "subprotocol"};
    int n;

    if (opt == OPT_REJECT) {
        if (!choice(name, arg, rejects, &n))
            return false;
        o->reject = (enum reject_mode)n;
        return true;
    }
    if (!choice(name, arg, places, &n))
        return false;
    o->ticket_in = (enum ticket_in)n;
    return true;
}

static void set_flag(struct options *o, int opt)
{
    o->open = o->open || opt == OPT_OPEN;
    o->deflate = o->deflate || opt == OPT_DEFLATE;
    o->admin = o->admin || opt == OPT_ADMIN;
    o->timestamps = o->timestamps || opt == OPT_TIMESTAMPS;
    o->tls.self_signed = o->tls.self_signed || opt == OPT_SELF_SIGNED;
}

static const char **text_field(struct options *o, int opt)
{
    switch (opt) {
    case OPT_LISTEN:
        return &o->listen;
    case OPT_PORT_FILE:
        return &o->port_file;
    case OPT_CERT:
        return &o->tls.cert;
    case OPT_KEY:
        return &o->tls.key;
    case OPT_CA_OUT:
        return &o->tls.ca_out;
    case OPT_TLS_DIR:
        return &o->tls.dir;
    case OPT_ALPN:
        return &o->tls.alpn;
    case OPT_JWT_SECRET:
        return &o->jwt_secret;
    case OPT_TICKET_NAME:
        return &o->ticket_name;
    case OPT_PREFIX:
        return &o->prefix;
    case OPT_REDIS:
        return &o->redis;
    case OPT_ADMIN_SOCKET:
        return &o->admin_socket;
    default:
        return NULL;
    }
}

static bool set_option(struct options *o, int opt, const char *name, const char *arg)
{
    const char **text = text_field(o, opt);

    if (text) {
        *text = arg;
        return true;
    }
    switch (opt) {
    case OPT_JWT_TTL:
    case OPT_TICKET_TTL:
    case OPT_REDIS_TIMEOUT:
    case OPT_MAX_MESSAGE:
    case OPT_FRAGMENT:
        return set_number(o, opt, name, arg);
    case OPT_NAME:
    case OPT_SUBPROTOCOL:
    case OPT_FAULT:
        return set_list(o, opt, name, arg);
    case OPT_REJECT:
    case OPT_TICKET_IN:
        return set_choice(o, opt, name, arg);
    default:
        set_flag(o, opt);
        return true;
    }
}

static void set_defaults(struct options *o)
{
    memset(o, 0, sizeof *o);
    o->jwt_ttl = 3600;
    o->ticket_ttl = 30;
    o->redis_timeout_ms = 2000;
    o->max_message = 64L * 1024 * 1024;
    o->prefix = "";
    o->jwt_secret = getenv("WSTICKET_SERVER_JWT_SECRET");
}

/* What no single option can see. */
static bool check(struct options *o)
{
    static const char *const names[] = {"ticket", "X-Ticket", ""};

    o->tls.names = o->names;
    o->tls.self_signed = o->tls.self_signed || o->tls.dir || (o->tls.ca_out && !o->tls.cert);
    o->use_tls = o->tls.cert || o->tls.key || o->tls.self_signed;
    if (!o->tls.cert != !o->tls.key)
        return complain(o->tls.cert ? "cert" : "key", "needs the other of --cert and --key");
    if (o->tls.cert && o->tls.self_signed)
        return complain("cert", "and --tls-self-signed, --tls-dir, --ca-out exclude each other");
    if (o->tls.alpn && (!o->use_tls || !*o->tls.alpn || strlen(o->tls.alpn) > 255))
        return complain("alpn", "wants TLS and a name");
    if (o->jwt_secret && !*o->jwt_secret)
        return complain("jwt-secret", "is empty");
    if (*o->prefix && (*o->prefix != '/' || o->prefix[strlen(o->prefix) - 1] == '/'))
        return complain("prefix", "begins with a slash and ends without");
    if (!o->ticket_name)
        o->ticket_name = names[o->ticket_in];
    return true;
}

int options_parse(struct options *options, int argc, char **argv)
{
    int index = 0;
    int opt;

    set_defaults(options);
    while ((opt = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        if (opt == OPT_HELP) {
            (void)fputs(usage, stdout);
            return 0;
        }
        if (opt == OPT_VERSION) {
            (void)puts("wsticket-server " WSTICKET_VERSION);
            return 0;
        }
        if (opt == '?' || !set_option(options, opt, long_options[index].name, optarg))
            return 1;
    }
    if (optind < argc) {
        (void)fprintf(stderr, "wsticket-server: unexpected argument: %s\n", argv[optind]);
        return 1;
    }
    return check(options) ? -1 : 1;
}
