// Boost.Beast: one io_context, one thread, asynchronous.  BEAST_TUNED=1: messages are not cut into
// frames, a write buffer of 64 KiB, and the fast generator of masking keys.
#include "bench.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include <memory>
#include <string>
#include <type_traits>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using tcp = asio::ip::tcp;
using error = boost::system::error_code;

static asio::io_context io{1};
static asio::ssl::context tls{asio::ssl::context::tls_client};
static SSL_SESSION *session;
static uint64_t opened, dialed, closed;

static void dial();

static void check(const char *what, const error &e)
{
    if (e)
        bench_die(what, e.message().c_str());
}

static void finish()
{
    bench_stop();
    io.stop();
}

template <class Stream> struct client : std::enable_shared_from_this<client<Stream>> {
    websocket::stream<Stream> ws;
    beast::flat_buffer buffer;
    uint64_t received = 0, sent = 0, begun = 0;

    template <class... Args> explicit client(Args &&...args) : ws(std::forward<Args>(args)...)
    {
    }

    void run()
    {
        tcp::endpoint to(asio::ip::make_address_v4(bench.host), (unsigned short)bench.port);

        beast::get_lowest_layer(ws).async_connect(to, [self = this->shared_from_this()](error e) {
            check("connect", e);
            self->connected();
        });
    }

    void connected()
    {
        beast::get_lowest_layer(ws).set_option(tcp::no_delay(true));
        if constexpr (std::is_same_v<Stream, tcp::socket>) {
            upgrade();
        } else {
            SSL *ssl = ws.next_layer().native_handle();

            SSL_set_tlsext_host_name(ssl, "localhost");
            SSL_set1_host(ssl, "localhost");
            if (bench.resume && session)
                SSL_set_session(ssl, session);
            ws.next_layer().async_handshake(asio::ssl::stream_base::client,
                                            [self = this->shared_from_this()](error e) {
                                                check("TLS handshake", e);
                                                self->upgrade();
                                            });
        }
    }

    void upgrade()
    {
        if (getenv("BEAST_TUNED")) {
            ws.auto_fragment(false);
            ws.write_buffer_bytes(65536);
            ws.secure_prng(false);
        }
        ws.read_message_max(64u << 20);
        ws.binary(bench.type == PAYLOAD_BINARY);
        ws.async_handshake("localhost", bench.path, [self = this->shared_from_this()](error e) {
            check("upgrade", e);
            self->go();
        });
    }

    void go()
    {
        opened++;
        switch (bench.mode) {
        case MODE_IDLE:
            read();
            break;
        case MODE_CONN:
            ws.async_close(websocket::close_code::normal,
                           [self = this->shared_from_this()](error) { on_closed(); });
            break;
        case MODE_RECV:
            bench_start();
            read();
            break;
        case MODE_SEND:
        case MODE_TURN:
            bench_start();
            read();
            write();
            break;
        case MODE_ECHO:
            if (!bench.warm_up)
                bench_start();
            read();
            write();
            break;
        }
    }

    static void on_closed()
    {
        if (closed++ == 0)
            bench_start(); // The first one was for what is made once.
        if (closed <= bench.count)
            dial();
        else
            finish();
    }

    void read()
    {
        ws.async_read(buffer, [self = this->shared_from_this()](error e, size_t) {
            check("read", e);
            self->on_message();
        });
    }

    void on_message()
    {
        received++;
        buffer.clear();
        if (bench.mode == MODE_SEND || bench.mode == MODE_TURN ||
            (bench.mode == MODE_RECV && received == bench.count)) {
            finish();
            return;
        }
        if (bench.mode == MODE_ECHO && !on_echo())
            return;
        read();
    }

    bool on_echo()
    {
        if (received > bench.warm_up)
            bench_latency(bench_ns() - begun);
        if (received == bench.warm_up)
            bench_start();
        if (received == bench.count + bench.warm_up) {
            finish();
            return false;
        }
        write();
        return true;
    }

    void write()
    {
        begun = bench_ns();
        ws.async_write(asio::buffer(bench.payload, bench.size),
                       [self = this->shared_from_this()](error e, size_t) {
                           check("write", e);
                           if (++self->sent < bench.count && bench.mode != MODE_ECHO)
                               self->write();
                       });
    }
};

static void dial()
{
    dialed++;
    if (bench.tls)
        std::make_shared<client<beast::ssl_stream<tcp::socket>>>(io, tls)->run();
    else
        std::make_shared<client<tcp::socket>>(io)->run();
}

static int on_session(SSL *, SSL_SESSION *s)
{
    SSL_SESSION_free(session);
    session = s;
    return 1;
}

static void prepare_tls()
{
    tls.load_verify_file(bench.ca);
    tls.set_verify_mode(asio::ssl::verify_peer);
    if (bench.resume) {
        SSL_CTX_set_session_cache_mode(tls.native_handle(),
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(tls.native_handle(), on_session);
    }
}

static void run_idle()
{
    while (opened < bench.count) {
        while (dialed < bench.count && dialed < opened + 16)
            dial();
        io.run_one();
    }
    bench_stop();
    sleep(1);
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    if (bench.tls)
        prepare_tls();
    bench_start();
    if (bench.mode == MODE_IDLE) {
        run_idle();
    } else {
        dial();
        io.run();
    }
    bench_report();
    _exit(0);
}
