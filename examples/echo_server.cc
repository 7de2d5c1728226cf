// An echo server: one request accepts all connections, one a connection receives into buffers that the kernel picks,
// and a silent connection has none. Prints its port; SIGTERM and SIGINT end it.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "assay/backend/backend.h"
#include "assay/backend/linux_kernel.h"

namespace {

class Server {
 public:
  Server(assay::Backend& backend, assay::BufferPool pool) : backend_(backend), pool_(std::move(pool)) {}
  ~Server() {
    for (const auto& [fd, connection] : connections_) close(fd);
  }

  void start(int listener) {
    backend_.accept_each(listener, SOCK_CLOEXEC, [this](int fd, bool more) {
      if (more) receive(fd);
    });
  }

 private:
  struct Connection {
    std::deque<assay::ProvidedBuffer> to_send;
    std::size_t sent = 0;  // of the first of them
    bool sends = false;
    bool receives = true;
  };

  void receive(int fd) {
    connections_.emplace(fd, std::make_unique<Connection>());
    backend_.recv_each(fd, pool_, 0, [this, fd](int res, assay::ProvidedBuffer data, bool more) {
      Connection& connection = *connections_.at(fd);
      // What is echoed keeps its buffer until it was sent. When all buffers are kept, receives wait.
      if (res > 0) connection.to_send.push_back(std::move(data));
      connection.receives = more;
      go_on(fd);
    });
  }

  // One send at a time, so that what was received first is sent first.
  void go_on(int fd) {
    Connection& connection = *connections_.at(fd);
    if (connection.sends) return;
    if (connection.to_send.empty()) {
      if (!connection.receives) end(fd);
      return;
    }
    connection.sends = true;
    const auto rest = connection.to_send.front().data().subspan(connection.sent);
    backend_.send(fd, rest, MSG_NOSIGNAL, [this, fd](int res) {
      Connection& sender = *connections_.at(fd);
      sender.sends = false;
      if (res < 0) {
        // The peer is gone, which its receive will be told of, too.
        sender.to_send.clear();
        sender.sent = 0;
      } else if ((sender.sent += static_cast<std::size_t>(res)) == sender.to_send.front().size()) {
        sender.to_send.pop_front();
        sender.sent = 0;
      }
      go_on(fd);
    });
  }

  void end(int fd) {
    connections_.erase(fd);
    close(fd);
  }

  assay::Backend& backend_;
  assay::BufferPool pool_;
  std::map<int, std::unique_ptr<Connection>> connections_;
};

int listen_on_any_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), bytes) != 0 || listen(fd, SOMAXCONN) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) {
    std::perror("echo_server");
    return -1;
  }
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

}  // namespace

int main() {
  auto made = assay::Backend::create(assay::LinuxKernel::instance());
  if (!made) {
    std::fprintf(stderr, "echo_server: %s\n", made.error().message().c_str());
    return 1;
  }
  std::unique_ptr<assay::Backend> backend = *std::move(made);
  auto pool = assay::BufferPool::create(*backend, {.count = 256, .bytes = 4096});
  if (!pool) {
    std::fprintf(stderr, "echo_server: %s\n", pool.error().message().c_str());
    return 1;
  }
  Server server(*backend, *std::move(pool));
  assay::SignalEvent terminate(*backend, SIGTERM, [&](int) { backend->loop_break(); });
  assay::SignalEvent interrupt(*backend, SIGINT, [&](int) { backend->loop_break(); });
  if (!terminate.add() || !interrupt.add()) return 1;
  const int listener = listen_on_any_port();
  if (listener < 0) return 1;
  server.start(listener);
  const auto status = backend->loop();
  if (!status) std::fprintf(stderr, "echo_server: %s\n", status.error().message().c_str());
  // Ends what is in flight, whose callbacks still find the server.
  backend.reset();
  close(listener);
  return status ? 0 : 1;
}
