#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

#include "assay/bench/fd.h"
#include "assay/bench/setup.h"

namespace assay::bench {

inline constexpr std::string_view kMessage = "sixty-four bytes, which is what a short message of a protocol is";
inline constexpr std::size_t kMessageBytes = 64;
static_assert(kMessage.size() == kMessageBytes);

/// Thousands of descriptors are more than a shell allows at first.
inline void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// A TCP connection over loopback with TCP_NODELAY: who connected, and who accepted.
struct Connection {
  Fd client;
  Fd server;
};

/// So many of them. `server_flags` are SOCK_NONBLOCK or nothing.
inline std::vector<Connection> connect_over_loopback(unsigned count, int server_flags = 0) {
  raise_descriptor_limit();
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* const any_address = reinterpret_cast<sockaddr*>(&address);
  if (listener.get() < 0 || ::bind(listener.get(), any_address, bytes) != 0 ||
      ::listen(listener.get(), SOMAXCONN) != 0 || ::getsockname(listener.get(), any_address, &bytes) != 0) {
    give_up("listen on loopback", errno);
  }
  std::vector<Connection> connections;
  for (unsigned i = 0; i < count; ++i) {
    Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (client.get() < 0 || ::connect(client.get(), any_address, bytes) != 0) give_up("connect over loopback", errno);
    Fd server(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | server_flags));
    if (server.get() < 0) give_up("accept4", errno);
    for (const int fd : {client.get(), server.get()}) {
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    connections.push_back({std::move(client), std::move(server)});
  }
  return connections;
}

/// Connected sockets: pairs of the Unix kind, or TCP over loopback.
class SocketPairs {
 public:
  SocketPairs(bool tcp, unsigned count) {
    if (tcp) {
      for (Connection& connection : connect_over_loopback(count)) {
        add(std::move(connection.client));
        add(std::move(connection.server));
      }
      return;
    }
    raise_descriptor_limit();
    for (unsigned i = 0; i < count; ++i) {
      std::array<int, 2> pair{};
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) give_up("socketpair", errno);
      for (const int fd : pair) add(Fd(fd));
    }
  }

  /// Pair i is 2i and 2i + 1.
  const std::vector<int>& fds() const noexcept { return fds_; }

 private:
  void add(Fd fd) {
    fds_.push_back(fd.get());
    owned_.push_back(std::move(fd));
  }

  std::vector<Fd> owned_;
  std::vector<int> fds_;
};

}  // namespace assay::bench
