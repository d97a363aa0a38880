// The same as consumer.c, in C++17: the header and the callbacks as a C++ program uses them.
#include <wsticket/wsticket.h>

#include <arpa/inet.h>
#include <cstdio>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

namespace
{

struct Seen {
    int failed = 0;
    int closed = 0;
};

// A port of loopback that the kernel has just given and taken back; 0: none.
int free_port()
{
    sockaddr_in addr{};
    socklen_t len = sizeof addr;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    int port = 0;

    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, reinterpret_cast<sockaddr *>(&addr), sizeof addr) == 0 &&
        getsockname(fd, reinterpret_cast<sockaddr *>(&addr), &len) == 0)
        port = ntohs(addr.sin_port);
    close(fd);
    return port;
}

} // namespace

int main()
{
    Seen seen;
    wst_client *client = nullptr;
    wst_config config;
    wst_cause why{};
    uv_loop_t loop;
    const std::string url = "http://127.0.0.1:" + std::to_string(free_port());

    if (std::string(wst_version()) != WST_VERSION_STRING || uv_loop_init(&loop) != 0)
        return 1;
    wst_config_init(&config);
    config.uv_loop = &loop;
    config.url = url.c_str();
    config.proxy = "";
    config.arg = &seen;
    config.on_attempt_failed = [](wst_client *cl, const wst_error_info *info, void *arg) {
        std::printf("attempt failed: %s: %s\n", wst_err_name(info->cause.code), info->cause.text);
        static_cast<Seen *>(arg)->failed += info->cause.code == WST_ERR_CONNECT;
        wst_client_close(
            cl, [](wst_client *, void *closed) { static_cast<Seen *>(closed)->closed++; }, arg);
    };
    if (wst_client_new(&client, &config, &why) != 0) {
        std::fprintf(stderr, "client: %s\n", why.text);
        return 1;
    }
    if (wst_client_start(client) != 0)
        return 1;
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0)
        return 1;
    return seen.failed == 1 && seen.closed == 1 ? 0 : 1;
}
