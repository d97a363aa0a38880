/* libcurl's results as causes. */
#ifndef WST_IO_CAUSE_CURL_H
#define WST_IO_CAUSE_CURL_H

#include "io/types.h"

#include <curl/curl.h>

enum { WST__PLACE = 272 };

/* "HOST:PORT" into |out|, which is returned; an IPv6 address stands in brackets. */
const char *wst__place(const char *host, uint16_t port, char out[WST__PLACE]);

/* What a transfer was about, for the words. */
struct wst__transfer_about {
    enum wst_step step;
    const char *host;
    const char *place;      /* wst__place() of it. */
    const char *proxy;      /* "HOST:PORT" without credentials; "" for none. */
    bool through_http;      /* That is an HTTP proxy. */
    bool sent;              /* The request has left: the way through the proxy stood. */
    bool plain;             /* Without TLS. */
    const char *interface;  /* NULL: any. */
    const char *error_text; /* CURLOPT_ERRORBUFFER. */
    int no_socket;          /* wst__multi_no_socket(). */
};

/* Fills in |why| for a transfer that ended with |result|, which is not CURLE_OK. */
void wst__curl_cause(struct wst_cause *why, CURL *easy, CURLcode result,
                     const struct wst__transfer_about *about);

#endif
