/*
 * What libcurl says about a failed transfer, in our words: which of the parties it was (host,
 * proxy, this machine), and what the system or OpenSSL said.  libcurl's own text is passed on for
 * TLS failures only: others of its texts might repeat parts of the request.
 */
#include "io/cause_curl.h"

#include "base/errno_text.h"
#include "io/tls_openssl.h"

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

const char *wst__place(const char *host, uint16_t port, char out[WST__PLACE])
{
    bool ipv6 = strchr(host, ':') != NULL;

    (void)snprintf(out, WST__PLACE, "%s%s%s:%u", ipv6 ? "[" : "", host, ipv6 ? "]" : "",
                   (unsigned)port);
    return out;
}

static int os_errno(CURL *easy)
{
    long error = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
    return (int)error;
}

static void proxy_refused(struct wst_cause *why, CURL *easy,
                          const struct wst__transfer_about *about)
{
    long status = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (status == 407 || status == 401)
        (void)wst__cause(why, WST_ERR_PROXY_AUTH, about->step,
                         "the proxy %s wants other credentials (%ld); they belong in the proxy's "
                         "URL: http://USER:PASSWORD@HOST:PORT",
                         about->proxy, status);
    else
        (void)wst__cause(why, WST_ERR_PROXY, about->step,
                         "the proxy %s refused the way to %s with status %ld", about->proxy,
                         about->place, status);
    /* libcurl takes any number of a proxy for a status: as a cause it would be a close code. */
    why->http_status = status >= 100 && status <= 999 ? (int)status : 0;
}

static bool proxy_answered(CURL *easy)
{
    long status = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return status != 0 && status / 100 != 2;
}

/* The connection to the proxy, before there was one through it; false: it was not that. */
static bool proxy_failed(struct wst_cause *why, CURLcode result,
                         const struct wst__transfer_about *about)
{
    switch (result) {
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
        (void)wst__cause(why, WST_ERR_PROXY, about->step, "the proxy %s ended the connection",
                         about->proxy);
        return true;
    case CURLE_WRITE_ERROR:
        (void)wst__cause(why, WST_ERR_PROXY, about->step, "the answer of the proxy %s is too large",
                         about->proxy);
        return true;
    default:
        return false;
    }
}

static void socks_refused(struct wst_cause *why, CURL *easy,
                          const struct wst__transfer_about *about)
{
    long error = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_PROXY_ERROR, &error);
    if (error == CURLPX_USER_REJECTED || error == CURLPX_NO_AUTH)
        (void)wst__cause(why, WST_ERR_PROXY_AUTH, about->step,
                         "the SOCKS proxy %s wants other credentials; they belong in the proxy's "
                         "URL: socks5h://USER:PASSWORD@HOST:PORT",
                         about->proxy);
    else if (error == CURLPX_LONG_USER || error == CURLPX_LONG_PASSWD)
        (void)wst__cause(
            why, WST_ERR_PROXY_AUTH, about->step,
            "the user name or password for the SOCKS proxy %s is longer than 255 bytes",
            about->proxy);
    else
        (void)wst__cause(why, WST_ERR_PROXY, about->step,
                         "the SOCKS proxy %s made no connection to %s", about->proxy, about->place);
}

static void not_connected(struct wst_cause *why, CURL *easy,
                          const struct wst__transfer_about *about)
{
    int error = os_errno(easy);
    char text[WST__ERRNO_TEXT];
    const char *reason = error ? wst__errno_text(error, text) : "no address answered";

    if (error == 0 && about->no_socket != 0) {
        (void)wst__cause(why, about->no_socket == ENOMEM ? WST_ERR_NOMEM : WST_ERR_IO, about->step,
                         "no socket could be made for %s: %s", about->place,
                         wst__errno_text(about->no_socket, text));
        why->sys_errno = about->no_socket;
        return;
    }
    if (*about->proxy)
        (void)wst__cause(why, WST_ERR_PROXY, about->step, "the proxy %s cannot be reached: %s",
                         about->proxy, reason);
    else
        (void)wst__cause(why, WST_ERR_CONNECT, about->step, "%s cannot be reached: %s",
                         about->place, reason);
}

/* The last part of "error:0A00042E:SSL routines::tlsv1 alert protocol version, errno 0". */
static void tls_failed(struct wst_cause *why, const struct wst__transfer_about *about,
                       bool in_handshake)
{
    const char *text = about->error_text;
    const char *last = strstr(text, "::");
    char own[128];

    if (strstr(text, "SSL_ERROR_SYSCALL") || strstr(text, "Connection reset"))
        text = "the connection ended in it";
    else if (last)
        text = last + 2;
    (void)snprintf(own, sizeof own, "%.*s", (int)strcspn(text, ","), text);
    (void)wst__tls_text_cause(why, about->step, about->host, own, in_handshake);
}

static void broken(struct wst_cause *why, CURL *easy, const struct wst__transfer_about *about)
{
    int error = os_errno(easy);
    char text[WST__ERRNO_TEXT];

    if (strstr(about->error_text, "SSL routines"))
        tls_failed(why, about, false); /* Such as an alert: with TLS 1.3, often that late. */
    else if (error == 0 || error == ECONNRESET || error == EPIPE)
        (void)wst__cause(why, WST_ERR_RESET, about->step, "%s reset the connection", about->place);
    else
        (void)wst__cause(why, WST_ERR_RESET, about->step, "the connection to %s broke: %s",
                         about->place, wst__errno_text(error, text));
}

static void not_verified(struct wst_cause *why, CURL *easy, const struct wst__transfer_about *about)
{
    long error = X509_V_OK;

    (void)curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &error);
    /* libcurl checks names apart from the chain, whose result is not yet set then. */
    if (error == X509_V_OK || error == X509_V_ERR_UNSPECIFIED)
        error = X509_V_ERR_HOSTNAME_MISMATCH;
    (void)wst__tls_verify_cause(why, about->step, about->host, error);
}

static void other(struct wst_cause *why, CURLcode result, const struct wst__transfer_about *about)
{
    (void)wst__cause(why, WST_ERR_HTTP, about->step, "the HTTP exchange with %s failed: %s",
                     about->place, curl_easy_strerror(result));
}

static void explain(struct wst_cause *why, CURL *easy, CURLcode result,
                    const struct wst__transfer_about *about)
{
    const char *interface;

    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
        (void)wst__cause(why, WST_ERR_RESOLVE, about->step, "the name %s could not be resolved",
                         about->host);
        break;
    case CURLE_COULDNT_RESOLVE_PROXY:
        (void)wst__cause(why, WST_ERR_PROXY, about->step,
                         "the name of the proxy %s could not be resolved", about->proxy);
        break;
    case CURLE_COULDNT_CONNECT:
        not_connected(why, easy, about);
        break;
    case CURLE_INTERFACE_FAILED:
        /* Without the "if!" or "host!" in front, which are libcurl's. */
        interface = about->interface ? strchr(about->interface, '!') : NULL;
        (void)wst__cause(why, WST_ERR_CONNECT, about->step,
                         "interface: %s cannot be used to reach %s", interface ? interface + 1 : "",
                         about->host);
        break;
    case CURLE_PROXY:
        socks_refused(why, easy, about);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        (void)wst__cause(why, WST_ERR_TIMEOUT, about->step, "%s did not answer in time",
                         about->place);
        break;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        (void)wst__cause(why, WST_ERR_EOF, about->step,
                         "%s ended the connection before its answer was complete%s", about->place,
                         about->plain ? "; does it want TLS (https)?" : "");
        break;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        broken(why, easy, about);
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
        not_verified(why, easy, about);
        break;
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        (void)wst__tls_verify_cause(why, about->step, about->host,
                                    X509_V_ERR_APPLICATION_VERIFICATION);
        break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CLIENTCERT:
        tls_failed(why, about, true);
        break;
    case CURLE_SSL_CERTPROBLEM:
        (void)wst__cause(why, WST_ERR_TLS_CONFIG, about->step,
                         "client_cert: it could not be loaded");
        break;
    case CURLE_SSL_CACERT_BADFILE:
        (void)wst__cause(why, WST_ERR_TLS_CONFIG, about->step, "ca_file: it could not be loaded");
        break;
    case CURLE_OUT_OF_MEMORY:
        (void)wst__cause(why, WST_ERR_NOMEM, about->step, "out of memory");
        break;
    default:
        other(why, result, about);
        break;
    }
}

void wst__curl_cause(struct wst_cause *why, CURL *easy, CURLcode result,
                     const struct wst__transfer_about *about)
{
    bool by_proxy = about->through_http && !about->sent && proxy_failed(why, result, about);

    if (proxy_answered(easy))
        proxy_refused(why, easy, about);
    else if (!by_proxy)
        explain(why, easy, result, about);
    if (why->sys_errno == 0)
        why->sys_errno = os_errno(easy);
}
