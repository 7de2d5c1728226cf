#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

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
  int client;
  int server;
};

/// So many of them; the caller closes both ends. `server_flags` are SOCK_NONBLOCK or nothing.
inline std::vector<Connection> connect_over_loopback(unsigned count, int server_flags = 0) {
  raise_descriptor_limit();
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* const any_address = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || ::bind(listener, any_address, bytes) != 0 || ::listen(listener, SOMAXCONN) != 0 ||
      ::getsockname(listener, any_address, &bytes) != 0) {
    give_up("listen on loopback", errno);
  }
  std::vector<Connection> connections;
  for (unsigned i = 0; i < count; ++i) {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || ::connect(client, any_address, bytes) != 0) give_up("connect over loopback", errno);
    const int server = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | server_flags);
    if (server < 0) give_up("accept4", errno);
    for (const int fd : {client, server}) {
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    connections.push_back({client, server});
  }
  ::close(listener);
  return connections;
}

/// Connected sockets: pairs of the Unix kind, or TCP over loopback.
class SocketPairs {
 public:
  SocketPairs(bool tcp, unsigned count) {
    if (tcp) {
      for (const Connection& connection : connect_over_loopback(count)) {
        fds_.push_back(connection.client);
        fds_.push_back(connection.server);
      }
      return;
    }
    raise_descriptor_limit();
    for (unsigned i = 0; i < count; ++i) {
      std::array<int, 2> pair{};
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) give_up("socketpair", errno);
      fds_.insert(fds_.end(), pair.begin(), pair.end());
    }
  }
  SocketPairs(const SocketPairs&) = delete;
  SocketPairs& operator=(const SocketPairs&) = delete;
  ~SocketPairs() {
    for (const int fd : fds_) ::close(fd);
  }

  /// Pair i is 2i and 2i + 1.
  const std::vector<int>& fds() const noexcept { return fds_; }

 private:
  std::vector<int> fds_;
};

}  // namespace assay::bench
