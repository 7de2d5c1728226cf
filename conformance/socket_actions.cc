#include "assay/conformance/socket_actions.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace assay::conformance {
namespace {

void require(bool good, std::string_view what) {
  if (good) return;
  ADD_FAILURE() << what << ": " << std::strerror(errno);
  throw BodyEnded();
}

SocketPair make_pair(int domain, int type) {
  int fds[2];
  require(::socketpair(domain, type | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
  return {Fd(fds[0]), Fd(fds[1])};
}

sockaddr_in bind_to_loopback(int fd) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  require(::bind(fd, reinterpret_cast<const sockaddr*>(&address), bytes) == 0, "bind");
  require(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes) == 0, "getsockname");
  return address;
}

std::size_t page_align(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

void* map_anonymous(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(memory != MAP_FAILED, "mmap");
  return memory;
}

}  // namespace

SocketPair make_stream_pair(int flags) { return make_pair(AF_UNIX, SOCK_STREAM | flags); }

SocketPair make_datagram_pair() { return make_pair(AF_UNIX, SOCK_DGRAM); }

Fd make_tcp_socket(int flags) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  require(fd >= 0, "socket");
  return Fd(fd);
}

Listener make_listener(int flags) {
  Listener listener{make_tcp_socket(flags), {}};
  listener.address = bind_to_loopback(listener.socket.get());
  require(::listen(listener.socket.get(), 16) == 0, "listen");
  return listener;
}

sockaddr_in make_dead_address() {
  const Fd socket = make_tcp_socket();
  return bind_to_loopback(socket.get());
}

Fd connect_to(const Listener& listener) {
  Fd socket = make_tcp_socket();
  require(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof listener.address) == 0,
          "connect");
  return socket;
}

SocketPair make_tcp_pair() {
  const Listener listener = make_listener();
  Fd near = connect_to(listener);
  const int far = ::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC);
  require(far >= 0, "accept4");
  return {std::move(near), Fd(far)};
}

UnansweredSocket make_unanswered_socket() {
  Listener listener{make_tcp_socket(), {}};
  listener.address = bind_to_loopback(listener.socket.get());
  require(::listen(listener.socket.get(), 0) == 0, "listen");
  // One is let in all the same, and fills the queue.
  Fd first = connect_to(listener);
  Fd socket = make_tcp_socket(SOCK_NONBLOCK);
  const auto* address = reinterpret_cast<const sockaddr*>(&listener.address);
  require(::connect(socket.get(), address, sizeof listener.address) != 0 && errno == EINPROGRESS, "connect");
  require(::fcntl(socket.get(), F_SETFL, 0) == 0, "fcntl");
  return {std::move(listener), std::move(first), std::move(socket)};
}

BoundSocket make_udp_socket() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  require(fd >= 0, "socket");
  BoundSocket bound{Fd(fd), {}};
  bound.address = bind_to_loopback(fd);
  return bound;
}

std::size_t fill(int socket) {
  const std::vector<char> zeros(4096);
  std::size_t total = 0;
  for (;;) {
    const ssize_t sent = ::send(socket, zeros.data(), zeros.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) break;
    total += static_cast<std::size_t>(sent);
  }
  require(errno == EAGAIN, "send to fill a socket");
  return total;
}

std::string receive_all(int socket, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t count = ::recv(socket, text.data() + done, bytes - done, 0);
    require(count > 0, "recv on a test's own socket");
    done += static_cast<std::size_t>(count);
  }
  return text;
}

io_uring_sqe& prepare_opcode(Ring& ring, std::uint8_t opcode, int fd, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring, user_data);
  sqe.opcode = opcode;
  sqe.fd = fd;
  return sqe;
}

io_uring_sqe& prepare_send(Ring& ring, int fd, std::string_view text, std::uint64_t user_data, int flags) {
  io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_SEND, fd, user_data);
  sqe.addr = reinterpret_cast<std::uintptr_t>(text.data());
  sqe.len = static_cast<std::uint32_t>(text.size());
  sqe.msg_flags = static_cast<std::uint32_t>(flags);
  return sqe;
}

io_uring_sqe& prepare_recv(Ring& ring, int fd, void* buffer, unsigned bytes, std::uint64_t user_data, int flags) {
  io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_RECV, fd, user_data);
  sqe.addr = reinterpret_cast<std::uintptr_t>(buffer);
  sqe.len = bytes;
  sqe.msg_flags = static_cast<std::uint32_t>(flags);
  return sqe;
}

io_uring_sqe& prepare_recv_provided(Ring& ring, int fd, std::uint16_t group, std::uint64_t user_data) {
  // A length of its own, since 0 meant nothing at all before 6.0.
  io_uring_sqe& sqe = prepare_recv(ring, fd, nullptr, 1u << 16, user_data);
  sqe.flags = IOSQE_BUFFER_SELECT;
  sqe.buf_group = group;
  return sqe;
}

io_uring_sqe& prepare_recv_multishot(Ring& ring, int fd, std::uint16_t group, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_recv_provided(ring, fd, group, user_data);
  sqe.len = 0;
  sqe.ioprio = IORING_RECV_MULTISHOT;
  return sqe;
}

io_uring_sqe& prepare_accept(Ring& ring, int fd, std::uint64_t user_data, std::uint16_t flags) {
  io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_ACCEPT, fd, user_data);
  sqe.ioprio = flags;
  return sqe;
}

io_uring_sqe& prepare_connect(Ring& ring, int fd, const sockaddr_in& address, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_CONNECT, fd, user_data);
  sqe.addr = reinterpret_cast<std::uintptr_t>(&address);
  sqe.addr2 = sizeof address;
  return sqe;
}

io_uring_sqe& prepare_cancel(Ring& ring, std::uint64_t which, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_ASYNC_CANCEL, -1, user_data);
  sqe.addr = which;
  return sqe;
}

int provide(Ring& ring, BufferPool& pool, std::uint16_t group, std::uint16_t first_id) {
  io_uring_prep_provide_buffers(&next_sqe(ring), pool.at(0), static_cast<int>(pool.bytes()),
                                static_cast<int>(pool.count()), group, first_id);
  return run_one(ring).res;
}

int remove_buffers(Ring& ring, unsigned count, std::uint16_t group) {
  io_uring_prep_remove_buffers(&next_sqe(ring), static_cast<int>(count), group);
  return run_one(ring).res;
}

bool has_buffer(const Completion& completion) { return (completion.flags & IORING_CQE_F_BUFFER) != 0; }

unsigned buffer_id(const Completion& completion) {
  EXPECT_TRUE(has_buffer(completion)) << testing::PrintToString(completion);
  return completion.flags >> IORING_CQE_BUFFER_SHIFT;
}

BufferRing::BufferRing(Ring& ring, std::uint16_t group, unsigned entries, std::uint16_t flags)
    : ring_(ring),
      group_(group),
      entries_(entries),
      mapped_((flags & uapi::kPbufRingMmap) != 0),
      bytes_(page_align(entries * sizeof(io_uring_buf))) {
  void* memory = mapped_ ? nullptr : map_anonymous(bytes_);
  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  request.ring_entries = entries;
  request.bgid = group;
  uapi::set_pbuf_flags(request, flags);
  int result = ring_.register_op(IORING_REGISTER_PBUF_RING, &request, 1);
  if (result == 0 && mapped_) {
    const std::uint64_t offset = uapi::kOffPbufRing | (std::uint64_t{group} << uapi::kOffPbufShift);
    result = ring_.kernel().map(ring_.fd(), offset, bytes_, &memory);
  }
  memory_ = static_cast<io_uring_buf_ring*>(memory);
  errno = -result;
  require(result == 0, "registering a buffer ring");
}

BufferRing::~BufferRing() {
  unregister();
  if (mapped_) {
    ring_.kernel().unmap(memory_, bytes_);
  } else {
    ::munmap(memory_, bytes_);
  }
}

int BufferRing::unregister() {
  if (!registered_) return 0;
  registered_ = false;
  io_uring_buf_reg request{};
  request.bgid = group_;
  return ring_.register_op(IORING_UNREGISTER_PBUF_RING, &request, 1);
}

void BufferRing::add(void* address, unsigned bytes, std::uint16_t id) {
  io_uring_buf& buffer = entry(tail_);
  // Not as a whole: the tail lies in what is reserved of the first.
  buffer.addr = reinterpret_cast<std::uintptr_t>(address);
  buffer.len = bytes;
  buffer.bid = id;
  __atomic_store_n(&memory_->tail, ++tail_, __ATOMIC_RELEASE);
}

void BufferRing::add(BufferPool& pool) {
  for (unsigned i = 0; i < pool.count(); ++i) add(pool.at(i), pool.bytes(), static_cast<std::uint16_t>(i));
}

int BufferRing::head() {
  uapi::BufferStatus status{};
  status.buf_group = group_;
  const int result = ring_.register_op(uapi::kRegisterPbufStatus, &status, 1);
  return result < 0 ? result : static_cast<int>(status.head);
}

Page::Page() : memory_(map_anonymous(page_align(1))) {}

Page::~Page() { ::munmap(memory_, page_align(1)); }

}  // namespace assay::conformance
