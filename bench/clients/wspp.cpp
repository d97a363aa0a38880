// websocketpp on Boost.Asio, one thread.
#include "bench.h"

#include <string>

#include <websocketpp/client.hpp>
#include <websocketpp/config/asio_client.hpp>
#include <websocketpp/config/asio_no_tls_client.hpp>

namespace lib = websocketpp::lib;
using handle = websocketpp::connection_hdl;

enum { QUEUED_BYTES = 1 << 20 /* Sending waits above that. */ };

template <class Client> struct app {
    Client client;
    uint64_t received = 0, sent = 0, opened = 0, dialed = 0, closed = 0, begun = 0;

    void dial()
    {
        lib::error_code e;
        std::string url = (bench.tls ? "wss" : "ws") + std::string("://localhost:") +
                          std::to_string(bench.port) + bench.path;
        auto connection = client.get_connection(url, e);

        if (e)
            bench_die("websocketpp", e.message().c_str());
        dialed++;
        client.connect(connection);
    }

    void finish()
    {
        bench_stop();
        client.stop();
    }

    void send(handle h)
    {
        auto type = bench.type == PAYLOAD_BINARY ? websocketpp::frame::opcode::binary
                                                 : websocketpp::frame::opcode::text;

        begun = bench_ns();
        sent++;
        client.send(h, bench.payload, bench.size, type);
    }

    void send_more(handle h)
    {
        auto connection = client.get_con_from_hdl(h);

        do {
            if (connection->get_buffered_amount() >= QUEUED_BYTES)
                break;
            send(h);
        } while (sent < bench.count && bench.mode == MODE_SEND);
        if (sent < bench.count)
            client.get_io_service().post([this, h] { send_more(h); });
    }

    void on_open(handle h)
    {
        lib::error_code e;

        opened++;
        if (bench.mode == MODE_CONN) {
            client.close(h, websocketpp::close::status::normal, "", e);
            return;
        }
        if (bench.mode == MODE_IDLE) {
            if (dialed < bench.count)
                dial();
            if (opened == bench.count)
                finish();
            return;
        }
        if (!bench.warm_up)
            bench_start();
        if (bench.mode == MODE_ECHO)
            send(h);
        else if (bench.mode != MODE_RECV)
            send_more(h);
    }

    void on_message(handle h)
    {
        received++;
        if (bench.mode != MODE_ECHO) {
            if (bench.mode != MODE_RECV || received == bench.count)
                finish();
            return;
        }
        if (received > bench.warm_up)
            bench_latency(bench_ns() - begun);
        if (received == bench.warm_up)
            bench_start();
        if (received == bench.count + bench.warm_up)
            finish();
        else
            send(h);
    }

    void on_close()
    {
        if (bench.mode != MODE_CONN)
            return;
        if (closed++ == 0)
            bench_start(); // The first one was for what is made once.
        if (closed <= bench.count)
            dial();
        else
            finish();
    }

    void set_handlers()
    {
        client.set_tcp_post_init_handler([this](handle h) {
            lib::asio::error_code e;
            client.get_con_from_hdl(h)->get_raw_socket().set_option(
                lib::asio::ip::tcp::no_delay(true), e);
        });
        client.set_fail_handler([this](handle h) {
            bench_die("websocketpp", client.get_con_from_hdl(h)->get_ec().message().c_str());
        });
        client.set_open_handler([this](handle h) { on_open(h); });
        client.set_message_handler(
            [this](handle h, typename Client::message_ptr) { on_message(h); });
        client.set_close_handler([this](handle) { on_close(); });
    }

    void run()
    {
        client.clear_access_channels(websocketpp::log::alevel::all);
        client.clear_error_channels(websocketpp::log::elevel::all);
        client.init_asio();
        client.set_max_message_size(64u << 20);
        set_handlers();
        bench_start();
        do
            dial();
        while (bench.mode == MODE_IDLE && dialed < 16 && dialed < bench.count);
        client.run();
        if (bench.mode == MODE_IDLE)
            sleep(1);
        bench_report();
        _exit(0);
    }
};

static void run_tls()
{
    static app<websocketpp::client<websocketpp::config::asio_tls_client>> a;
    auto context = lib::make_shared<lib::asio::ssl::context>(lib::asio::ssl::context::tls_client);

    context->load_verify_file(bench.ca);
    context->set_verify_mode(lib::asio::ssl::verify_peer);
    a.client.set_tls_init_handler([context](handle) { return context; });
    a.run();
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    if (bench.tls) {
        run_tls();
    } else {
        static app<websocketpp::client<websocketpp::config::asio_client>> a;
        a.run();
    }
}
