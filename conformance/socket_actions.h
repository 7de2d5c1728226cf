#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/conformance/ring_actions.h"

/// Sockets and provided buffers for the bodies of the ring suites.
namespace assay::conformance {

/// Two connected sockets.
struct SocketPair {
  Fd near;
  Fd far;
};
SocketPair make_stream_pair(int flags = 0);
SocketPair make_datagram_pair();
/// Connected over TCP on the loopback device.
SocketPair make_tcp_pair();

/// A TCP socket that listens on a free port of the loopback device.
struct Listener {
  Fd socket;
  sockaddr_in address;
};
Listener make_listener(int flags = 0);
/// An address that nobody listens on: its port was free a moment ago.
sockaddr_in make_dead_address();
/// A TCP socket, connected to it or not.
Fd make_tcp_socket(int flags = 0);
Fd connect_to(const Listener& listener);
/// A bound UDP socket of the loopback device, and where it is.
struct BoundSocket {
  Fd socket;
  sockaddr_in address;
};
BoundSocket make_udp_socket();
/// A TCP socket whose connection is not answered, since nobody accepts and the queue is full: nothing can be sent,
/// however long one waits. A full send buffer would have room again whenever the other end acknowledges something.
struct UnansweredSocket {
  Listener listener;
  Fd first;
  Fd socket;
};
UnansweredSocket make_unanswered_socket();
/// Fills the socket's send buffer until nothing more fits. Returns how much did.
std::size_t fill(int socket);
/// Receives `bytes` bytes, whatever comes in how many parts; a test's own end of a stream.
std::string receive_all(int socket, std::size_t bytes);

// SQEs, by the kernel's names of their fields.
io_uring_sqe& prepare_send(Ring& ring, int fd, std::string_view text, std::uint64_t user_data, int flags = 0);
io_uring_sqe& prepare_recv(Ring& ring, int fd, void* buffer, unsigned bytes, std::uint64_t user_data, int flags = 0);
/// Into a provided buffer of this group.
io_uring_sqe& prepare_recv_provided(Ring& ring, int fd, std::uint16_t group, std::uint64_t user_data);
/// The same, again and again (6.0).
io_uring_sqe& prepare_recv_multishot(Ring& ring, int fd, std::uint16_t group, std::uint64_t user_data);
io_uring_sqe& prepare_accept(Ring& ring, int fd, std::uint64_t user_data, std::uint16_t flags = 0);
io_uring_sqe& prepare_connect(Ring& ring, int fd, const sockaddr_in& address, std::uint64_t user_data);
io_uring_sqe& prepare_cancel(Ring& ring, std::uint64_t which, std::uint64_t user_data);
io_uring_sqe& prepare_opcode(Ring& ring, std::uint8_t opcode, int fd, std::uint64_t user_data);

/// Memory for `count` buffers of `bytes` bytes each, next to each other.
class BufferPool {
 public:
  BufferPool(unsigned count, unsigned bytes) : count_(count), bytes_(bytes), memory_(std::size_t{count} * bytes) {}

  unsigned count() const { return count_; }
  unsigned bytes() const { return bytes_; }
  char* at(unsigned index) { return memory_.data() + std::size_t{index} * bytes_; }
  /// What the first `length` bytes of a buffer are.
  std::string text(unsigned index, std::size_t length) { return std::string(at(index), length); }

 private:
  unsigned count_;
  unsigned bytes_;
  std::vector<char> memory_;
};

/// PROVIDE_BUFFERS with the whole pool: its result.
int provide(Ring& ring, BufferPool& pool, std::uint16_t group, std::uint16_t first_id = 0);
int remove_buffers(Ring& ring, unsigned count, std::uint16_t group);

/// Which buffer a completion tells of.
bool has_buffer(const Completion& completion);
unsigned buffer_id(const Completion& completion);

/// A provided-buffer ring in memory of its own (5.19), unregistered and given back at the end of its scope.
class BufferRing {
 public:
  /// Registers it, which must succeed. `flags` are IOU_PBUF_RING_*.
  BufferRing(Ring& ring, std::uint16_t group, unsigned entries, std::uint16_t flags = 0);
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;
  ~BufferRing();

  void add(void* address, unsigned bytes, std::uint16_t id);
  /// All buffers of the pool, numbered from 0.
  void add(BufferPool& pool);
  io_uring_buf& entry(unsigned position) { return reinterpret_cast<io_uring_buf*>(memory_)[position % entries_]; }
  /// IORING_REGISTER_PBUF_STATUS: the head, or a negative errno (6.8).
  int head();
  /// Unregisters it: the answer.
  int unregister();

 private:
  Ring& ring_;
  std::uint16_t group_;
  unsigned entries_;
  bool mapped_;
  std::size_t bytes_;
  io_uring_buf_ring* memory_;
  std::uint16_t tail_ = 0;
  bool registered_ = true;
};

/// A page of memory to register rings in.
class Page {
 public:
  Page();
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  ~Page();
  void* get() const { return memory_; }

 private:
  void* memory_;
};

}  // namespace assay::conformance
