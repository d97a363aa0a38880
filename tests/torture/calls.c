/*
 * The outside functions that can fail, each with its ways to do so.  One that fails here has not
 * been called at all, except close(), which is.
 *
 * tests/torture/complete.py compares this list with what the library calls.
 */
#define CURL_DISABLE_TYPECHECK
#include "faults.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <netdb.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>
#include <wslay/wslay.h>
#include <zlib.h>

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
#undef curl_share_setopt

int __cxa_atexit(void (*fn)(void *), void *arg, void *object);

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

/* The function that would have been called without us. */
static void real_of(void *real, const char *symbol)
{
    *(void **)real = dlsym(RTLD_NEXT, symbol);
    if (*(void **)real)
        return;
    (void)fprintf(stderr, "there is no %s\n", symbol);
    abort();
}

#define PASS(real, symbol)                                                                         \
    if (!(real))                                                                                   \
    real_of(&(real), symbol)

#define DUE(ways) fault_due(FAULT_CALL, __func__, __builtin_return_address(0), ways, COUNT(ways))

#define CALL_AS(symbol, type, name, params, args, ...)                                             \
    type name params                                                                               \
    {                                                                                              \
        static const struct fault_way ways[] = {__VA_ARGS__};                                      \
        static type(*real) params;                                                                 \
        const struct fault_way *way = DUE(ways);                                                   \
                                                                                                   \
        if (way) {                                                                                 \
            errno = way->err;                                                                      \
            return (type)way->value;                                                               \
        }                                                                                          \
        PASS(real, symbol);                                                                        \
        return real args;                                                                          \
    }

#define CALL(type, name, params, args, ...) CALL_AS(#name, type, name, params, args, __VA_ARGS__)

#define MINUS(error)                                                                               \
    {                                                                                              \
#error, -1, error, false                                                                   \
    }
#define AGAIN(error)                                                                               \
    {                                                                                              \
#error, -1, error, true                                                                    \
    } /* It only means: once more. */
#define NOTHING                                                                                    \
    {                                                                                              \
        "NULL", 0, ENOMEM, false                                                                   \
    }
#define ZERO                                                                                       \
    {                                                                                              \
        "0", 0, 0, false                                                                           \
    }
#define IS(name)                                                                                   \
    {                                                                                              \
#name, name, 0, false                                                                      \
    }
#define CURL_CALL(name, params, args, ...) CALL(CURLcode, name, params, args, __VA_ARGS__)

/* ---- The kernel, the C library ------------------------------------------------------------- */

CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol), MINUS(EMFILE),
     MINUS(ENOBUFS))
CALL(int, socketpair, (int domain, int type, int protocol, int fds[2]),
     (domain, type, protocol, fds), MINUS(EMFILE))
CALL(int, connect, (int fd, __CONST_SOCKADDR_ARG to, socklen_t n), (fd, to, n), MINUS(ENETUNREACH),
     MINUS(ECONNREFUSED))
CALL(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *n),
     (fd, level, name, value, n), MINUS(ENOBUFS))
CALL(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t n),
     (fd, level, name, value, n), MINUS(ENOBUFS))
CALL(int, getsockname, (int fd, __SOCKADDR_ARG to, socklen_t *n), (fd, to, n), MINUS(ENOBUFS))
CALL(int, getpeername, (int fd, __SOCKADDR_ARG to, socklen_t *n), (fd, to, n), MINUS(ENOTCONN))
CALL(int, shutdown, (int fd, int how), (fd, how), MINUS(ENOTCONN))
CALL(ssize_t, recv, (int fd, void *to, size_t n, int flags), (fd, to, n, flags), MINUS(ECONNRESET),
     AGAIN(EINTR), AGAIN(EAGAIN), ZERO)
CALL(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags), MINUS(EPIPE),
     AGAIN(EINTR), AGAIN(EAGAIN))
CALL(int, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms), AGAIN(EINTR), MINUS(ENOMEM))
CALL(int, timerfd_create, (int clock, int flags), (clock, flags), MINUS(EMFILE))
CALL(int, timerfd_settime, (int fd, int flags, const struct itimerspec *to, struct itimerspec *was),
     (fd, flags, to, was), MINUS(EINVAL))
CALL_AS("fstat64", int, fstat, (int fd, struct stat *to), (fd, to), MINUS(EIO))
CALL(int, rename, (const char *from, const char *to), (from, to), MINUS(EACCES))
CALL(int, unlink, (const char *path), (path), MINUS(EACCES))
CALL(int, access, (const char *path, int mode), (path, mode), MINUS(EACCES))
CALL(DIR *, opendir, (const char *path), (path), {"EMFILE", 0, EMFILE, false})
CALL_AS("readdir64", struct dirent *, readdir, (DIR * dir), (dir), {"EIO", 0, EIO, false})
CALL(int, getaddrinfo,
     (const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **to),
     (node, service, hints, to), IS(EAI_AGAIN), IS(EAI_MEMORY), IS(EAI_NONAME))
CALL(locale_t, newlocale, (int mask, const char *name, locale_t base), (mask, name, base), NOTHING)

/* What atexit() calls. */
CALL(int, __cxa_atexit, (void (*fn)(void *), void *arg, void *object), (fn, arg, object),
     MINUS(ENOMEM))

/* Half of it, as a full kernel does, also without an error. */
static size_t some(size_t n, const struct fault_way *way)
{
    return way && way->value > 0 ? (n + 1) / 2 : n;
}

ssize_t send(int fd, const void *from, size_t n, int flags)
{
    static const struct fault_way ways[] = {
        MINUS(EPIPE), AGAIN(EINTR), AGAIN(EAGAIN), {"short", 1, 0, true}};
    static ssize_t (*real)(int fd, const void *from, size_t n, int flags);
    const struct fault_way *way = DUE(ways);

    if (way && way->value < 0) {
        errno = way->err;
        return -1;
    }
    PASS(real, "send");
    return real(fd, from, some(n, way), flags);
}

/* libuv reads and writes only its own eventfd, where nothing but a signal can come between. */
static const struct fault_way interrupted[] = {AGAIN(EINTR)};

static bool is_uv(const void *caller)
{
    return faults_owner(caller) == OWNER_UV;
}

ssize_t read(int fd, void *to, size_t n)
{
    static const struct fault_way ways[] = {MINUS(EIO), AGAIN(EINTR), {"short", 1, 0, true}, ZERO};
    static ssize_t (*real)(int fd, void *to, size_t n);
    const void *caller = __builtin_return_address(0);
    const struct fault_way *way = is_uv(caller)
                                      ? fault_due(FAULT_CALL, __func__, caller, interrupted, 1)
                                      : fault_due(FAULT_CALL, __func__, caller, ways, COUNT(ways));

    if (way && way->value <= 0) {
        errno = way->err;
        return way->value;
    }
    PASS(real, "read");
    return real(fd, to, some(n, way));
}

ssize_t write(int fd, const void *from, size_t n)
{
    static const struct fault_way ways[] = {MINUS(ENOSPC), AGAIN(EINTR), {"short", 1, 0, true}};
    static ssize_t (*real)(int fd, const void *from, size_t n);
    const void *caller = __builtin_return_address(0);
    const struct fault_way *way = is_uv(caller)
                                      ? fault_due(FAULT_CALL, __func__, caller, interrupted, 1)
                                      : fault_due(FAULT_CALL, __func__, caller, ways, COUNT(ways));

    if (way && way->value <= 0) {
        errno = way->err;
        return way->value;
    }
    PASS(real, "write");
    return real(fd, from, some(n, way));
}

/* Linux lets go of the descriptor also when it reports an error. */
int close(int fd)
{
    static const struct fault_way ways[] = {AGAIN(EIO), AGAIN(EINTR)};
    static int (*real)(int fd);
    const struct fault_way *way = DUE(ways);
    int rc;

    PASS(real, "close");
    rc = real(fd);
    if (!way)
        return rc;
    errno = way->err;
    return -1;
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    static const struct fault_way ways[] = {MINUS(ENOMEM), MINUS(ENOSPC)};
    static int (*real)(int epoll, int op, int fd, struct epoll_event *event);
    /* A removal takes no memory. */
    const struct fault_way *way = op == EPOLL_CTL_DEL ? NULL : DUE(ways);

    if (way) {
        errno = way->err;
        return -1;
    }
    PASS(real, "epoll_ctl");
    return real(epoll, op, fd, event);
}

int epoll_pwait(int epoll, struct epoll_event *events, int n, int ms, const sigset_t *mask)
{
    static int (*real)(int epoll, struct epoll_event *events, int n, int ms, const sigset_t *mask);
    const struct fault_way *way = DUE(interrupted);

    fault_waited();
    if (way) {
        errno = way->err;
        return -1;
    }
    PASS(real, "epoll_pwait");
    return real(epoll, events, n, ms, mask);
}

int epoll_wait(int epoll, struct epoll_event *events, int n, int ms)
{
    static int (*real)(int epoll, struct epoll_event *events, int n, int ms);
    const struct fault_way *way = DUE(interrupted);

    fault_waited();
    if (way) {
        errno = way->err;
        return -1;
    }
    PASS(real, "epoll_wait");
    return real(epoll, events, n, ms);
}

int open(const char *path, int flags, ...)
{
    static const struct fault_way ways[] = {MINUS(EMFILE), MINUS(EACCES), MINUS(ENOENT)};
    static int (*real)(const char *path, int flags, ...);
    const struct fault_way *way = DUE(ways);
    va_list ap;
    unsigned mode;

    if (way) {
        errno = way->err;
        return -1;
    }
    va_start(ap, flags);
    mode = va_arg(ap, unsigned);
    va_end(ap);
    PASS(real, "open64");
    return real(path, flags, mode);
}

/* These return the error. */
int pthread_create(pthread_t *to, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    static const struct fault_way ways[] = {IS(EAGAIN)};
    static int (*real)(pthread_t * to, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
    const struct fault_way *way = DUE(ways);

    PASS(real, "pthread_create");
    return way ? (int)way->value : real(to, attr, fn, arg);
}

CALL(int, pthread_mutex_init, (pthread_mutex_t * to, const pthread_mutexattr_t *attr), (to, attr),
     IS(ENOMEM))

/* ---- libuv --------------------------------------------------------------------------------- */

CALL(int, uv_poll_init, (uv_loop_t * loop, uv_poll_t *to, int fd), (loop, to, fd), IS(UV_ENOMEM))
CALL(int, uv_poll_init_socket, (uv_loop_t * loop, uv_poll_t *to, uv_os_sock_t fd), (loop, to, fd),
     IS(UV_ENOMEM))
CALL(int, uv_async_init, (uv_loop_t * loop, uv_async_t *to, uv_async_cb cb), (loop, to, cb),
     IS(UV_EMFILE))
CALL(int, uv_mutex_init, (uv_mutex_t * to), (to), IS(UV_ENOMEM))

/* ---- libcurl ------------------------------------------------------------------------------- */

#define CURL_WAY IS(CURLE_OUT_OF_MEMORY)

CURL_CALL(curl_global_init, (long flags), (flags), CURL_WAY, IS(CURLE_FAILED_INIT))
CALL(CURL *, curl_easy_init, (void), (), NOTHING)
CALL(CURLM *, curl_multi_init, (void), (), NOTHING)
CALL(CURLMcode, curl_multi_add_handle, (CURLM * m, CURL *e), (m, e), IS(CURLM_OUT_OF_MEMORY),
     IS(CURLM_INTERNAL_ERROR))
CALL(CURLMcode, curl_multi_socket_action, (CURLM * m, curl_socket_t fd, int events, int *running),
     (m, fd, events, running), IS(CURLM_OUT_OF_MEMORY), IS(CURLM_INTERNAL_ERROR))
CALL(CURLSH *, curl_share_init, (void), (), NOTHING)
CALL(struct curl_slist *, curl_slist_append, (struct curl_slist * list, const char *text),
     (list, text), NOTHING)
CALL(CURLU *, curl_url, (void), (), NOTHING)
CALL(CURLUcode, curl_url_set, (CURLU * url, CURLUPart part, const char *text, unsigned flags),
     (url, part, text, flags), IS(CURLUE_OUT_OF_MEMORY))
#if LIBCURL_VERSION_NUM >= 0x080800
#define URL_TO_READ const CURLU
#else
#define URL_TO_READ CURLU
#endif
CALL(CURLUcode, curl_url_get, (URL_TO_READ * url, CURLUPart part, char **text, unsigned flags),
     (url, part, text, flags), IS(CURLUE_OUT_OF_MEMORY))

/* With an argument of any type, which is passed on as a word. */
#define CALL_ANY(type, name, handle, option, ...)                                                  \
    type name(handle h, option o, ...)                                                             \
    {                                                                                              \
        static const struct fault_way ways[] = {__VA_ARGS__};                                      \
        static type (*real)(handle h, option o, ...);                                              \
        const struct fault_way *way = DUE(ways);                                                   \
        va_list ap;                                                                                \
        void *word;                                                                                \
                                                                                                   \
        if (way)                                                                                   \
            return (type)way->value;                                                               \
        va_start(ap, o);                                                                           \
        word = va_arg(ap, void *);                                                                 \
        va_end(ap);                                                                                \
        PASS(real, #name);                                                                         \
        return real(h, o, word);                                                                   \
    }

CALL_ANY(CURLcode, curl_easy_setopt, CURL *, CURLoption, CURL_WAY)
CALL_ANY(CURLcode, curl_easy_getinfo, CURL *, CURLINFO, CURL_WAY)
CALL_ANY(CURLMcode, curl_multi_setopt, CURLM *, CURLMoption, IS(CURLM_OUT_OF_MEMORY))
CALL_ANY(CURLSHcode, curl_share_setopt, CURLSH *, CURLSHoption, IS(CURLSHE_NOMEM))

/* ---- OpenSSL ------------------------------------------------------------------------------- */

int OPENSSL_init_ssl(uint64_t opts, const OPENSSL_INIT_SETTINGS *settings)
{
    static const struct fault_way ways[] = {ZERO};
    static int (*real)(uint64_t opts, const OPENSSL_INIT_SETTINGS *settings);
    int rc;

    if (DUE(ways))
        return 0;
    PASS(real, "OPENSSL_init_ssl");
    fault_start(true);
    rc = real(opts, settings);
    fault_start(false);
    return rc;
}

CALL(OSSL_LIB_CTX *, OSSL_LIB_CTX_get0_global_default, (void), (), NOTHING)
CALL(int, RAND_bytes, (unsigned char *to, int n), (to, n), ZERO)
CALL(BIO_METHOD *, BIO_meth_new, (int type, const char *name), (type, name), NOTHING)
CALL(int, BIO_meth_set_write, (BIO_METHOD * to, int (*fn)(BIO *, const char *, int)), (to, fn),
     ZERO)
CALL(int, BIO_meth_set_read, (BIO_METHOD * to, int (*fn)(BIO *, char *, int)), (to, fn), ZERO)
CALL(int, BIO_meth_set_ctrl, (BIO_METHOD * to, long (*fn)(BIO *, int, long, void *)), (to, fn),
     ZERO)
CALL(int, BIO_get_new_index, (void), (), MINUS(ENOMEM))
CALL(BIO *, BIO_new, (const BIO_METHOD *method), (method), NOTHING)
CALL(BIO *, BIO_new_mem_buf, (const void *from, int n), (from, n), NOTHING)
CALL(X509 *, PEM_read_bio_X509_AUX, (BIO * bio, X509 **to, pem_password_cb *cb, void *arg),
     (bio, to, cb, arg), NOTHING)
CALL(X509 *, PEM_read_bio_X509, (BIO * bio, X509 **to, pem_password_cb *cb, void *arg),
     (bio, to, cb, arg), NOTHING)
CALL(EVP_PKEY *, PEM_read_bio_PrivateKey,
     (BIO * bio, EVP_PKEY **to, pem_password_cb *cb, void *arg), (bio, to, cb, arg), NOTHING)
CALL(EVP_PKEY *, d2i_PUBKEY, (EVP_PKEY * *to, const unsigned char **from, long n), (to, from, n),
     NOTHING)
CALL(int, i2d_X509_PUBKEY, (const X509_PUBKEY *key, unsigned char **to), (key, to), MINUS(ENOMEM))
CALL(int, EVP_Digest,
     (const void *from, size_t n, unsigned char *to, unsigned *size, const EVP_MD *type,
      ENGINE *engine),
     (from, n, to, size, type, engine), ZERO)
CALL(int, EVP_Q_digest,
     (OSSL_LIB_CTX * lib, const char *name, const char *query, const void *from, size_t n,
      unsigned char *to, size_t *size),
     (lib, name, query, from, n, to, size), ZERO)
CALL(X509_STORE *, X509_STORE_new, (void), (), NOTHING)
CALL(int, X509_STORE_add_cert, (X509_STORE * store, X509 *cert), (store, cert), ZERO)
CALL(int, X509_STORE_set_flags, (X509_STORE * store, unsigned long flags), (store, flags), ZERO)
CALL(int, X509_cmp_current_time, (const ASN1_TIME *when), (when), ZERO)
CALL(int, X509_check_private_key, (const X509 *cert, const EVP_PKEY *key), (cert, key), ZERO)
CALL(int, X509_VERIFY_PARAM_set1_host, (X509_VERIFY_PARAM * to, const char *name, size_t n),
     (to, name, n), ZERO)
CALL(int, X509_VERIFY_PARAM_set1_ip_asc, (X509_VERIFY_PARAM * to, const char *address),
     (to, address), ZERO)
CALL(int, X509_check_host, (X509 * cert, const char *name, size_t n, unsigned flags, char **peer),
     (cert, name, n, flags, peer), ZERO, MINUS(0))
CALL(int, X509_check_ip_asc, (X509 * cert, const char *address, unsigned flags),
     (cert, address, flags), ZERO, {"-2", -2, 0, false})
CALL(int, X509_check_purpose, (X509 * cert, int purpose, int ca), (cert, purpose, ca), MINUS(0))
CALL(X509 *, X509_dup, (const X509 *cert), (cert), NOTHING)
CALL(EVP_PKEY *, X509_get0_pubkey, (const X509 *cert), (cert), NOTHING)
CALL(int, EVP_PKEY_get_security_bits, (const EVP_PKEY *key), (key), ZERO)
CALL(OPENSSL_STACK *, OPENSSL_sk_new_null, (void), (), NOTHING)
CALL(int, OPENSSL_sk_push, (OPENSSL_STACK * stack, const void *p), (stack, p), ZERO)
/* What SSL_get_error() tells of a call comes from OpenSSL's queue of errors. */
#define SSL_CALL(name, params, args)                                                               \
    int name params                                                                                \
    {                                                                                              \
        static const struct fault_way ways[] = {ZERO};                                             \
        static int(*real) params;                                                                  \
                                                                                                   \
        if (DUE(ways)) {                                                                           \
            ERR_raise(ERR_LIB_SSL, ERR_R_INTERNAL_ERROR);                                          \
            return 0;                                                                              \
        }                                                                                          \
        PASS(real, #name);                                                                         \
        return real args;                                                                          \
    }

CALL(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *method), (method), NOTHING)
CALL(long, SSL_CTX_ctrl, (SSL_CTX * ctx, int command, long n, void *p), (ctx, command, n, p), ZERO)
CALL(int, CRYPTO_get_ex_new_index,
     (int kind, long n, void *p, CRYPTO_EX_new *make, CRYPTO_EX_dup *copy, CRYPTO_EX_free *drop),
     (kind, n, p, make, copy, drop), MINUS(ENOMEM))
CALL(int, SSL_CTX_set_ex_data, (SSL_CTX * ctx, int index, void *p), (ctx, index, p), ZERO)
CALL(int, SSL_CTX_set_alpn_protos, (SSL_CTX * ctx, const unsigned char *p, unsigned n), (ctx, p, n),
     {"1", 1, 0, false})
CALL(int, SSL_CTX_use_cert_and_key,
     (SSL_CTX * ctx, X509 *cert, EVP_PKEY *key, STACK_OF(X509) * chain, int replace),
     (ctx, cert, key, chain, replace), ZERO)
CALL(SSL *, SSL_new, (SSL_CTX * ctx), (ctx), NOTHING)
CALL(long, SSL_ctrl, (SSL * ssl, int command, long n, void *p), (ssl, command, n, p), ZERO)
CALL(int, SSL_set_ex_data, (SSL * ssl, int index, void *p), (ssl, index, p), ZERO)
CALL(int, SSL_set_session, (SSL * ssl, SSL_SESSION *session), (ssl, session), ZERO)
SSL_CALL(SSL_do_handshake, (SSL * ssl), (ssl))
SSL_CALL(SSL_connect, (SSL * ssl), (ssl))
SSL_CALL(SSL_read, (SSL * ssl, void *to, int n), (ssl, to, n))
SSL_CALL(SSL_write, (SSL * ssl, const void *from, int n), (ssl, from, n))
SSL_CALL(SSL_read_ex, (SSL * ssl, void *to, size_t n, size_t *did), (ssl, to, n, did))
SSL_CALL(SSL_write_ex, (SSL * ssl, const void *from, size_t n, size_t *did), (ssl, from, n, did))
SSL_CALL(SSL_shutdown, (SSL * ssl), (ssl))
CALL(int, SSL_free_buffers, (SSL * ssl), (ssl), ZERO)

/* ---- zlib, wslay, cJSON -------------------------------------------------------------------- */

CALL(int, deflateInit2_,
     (z_streamp z, int level, int method, int bits, int memory, int strategy, const char *version,
      int size),
     (z, level, method, bits, memory, strategy, version, size), IS(Z_MEM_ERROR))
CALL(int, inflateInit2_, (z_streamp z, int bits, const char *version, int size),
     (z, bits, version, size), IS(Z_MEM_ERROR))
CALL(int, deflate, (z_streamp z, int flush), (z, flush), IS(Z_STREAM_ERROR))
CALL(int, inflate, (z_streamp z, int flush), (z, flush), IS(Z_MEM_ERROR), IS(Z_DATA_ERROR))
CALL(int, inflateSetDictionary, (z_streamp z, const Bytef *from, uInt n), (z, from, n),
     IS(Z_STREAM_ERROR))
CALL(int, inflateGetDictionary, (z_streamp z, Bytef *to, uInt *n), (z, to, n), IS(Z_STREAM_ERROR))

CALL(int, wslay_frame_context_init,
     (wslay_frame_context_ptr * to, const struct wslay_frame_callbacks *cbs, void *arg),
     (to, cbs, arg), {"WSLAY_ERR_NOMEM", WSLAY_ERR_NOMEM, 0, false})
CALL(ssize_t, wslay_frame_recv, (wslay_frame_context_ptr ctx, struct wslay_frame_iocb *to),
     (ctx, to), {"WSLAY_ERR_PROTO", WSLAY_ERR_PROTO, 0, false})
CALL(cJSON *, cJSON_ParseWithLengthOpts,
     (const char *text, size_t n, const char **end, cJSON_bool terminated),
     (text, n, end, terminated), NOTHING)
