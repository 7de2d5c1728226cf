// Receiving on and on, by the reference backend: into buffers of a pool, which the kernel picks or, where it cannot,
// the loop does; and into memory that the callback allocates.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/folder.h"
#include "assay/conformance/reference_actions.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

// The one of ring behaviours is another.
using Pool = assay::BufferPool;

constexpr std::size_t kBytes = 64;

Pool new_pool(BackendScenario& s, unsigned count = 4) {
  return must(Pool::create(reference_backend(s), {.count = count, .bytes = kBytes}));
}

std::string text_of(std::span<const std::byte> data) {
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

/// What a receive into a pool was told. Buffers are kept if that is asked for, else given back at once.
struct Received {
  explicit Received(BackendScenario& s, std::string what = "a receive") : last(s.owe(std::move(what))) {}

  ReceiveCallback callback(std::function<void()> then = {}) {
    return [this, end = last.callback(), then = std::move(then)](int res, ProvidedBuffer data, bool more) {
      EXPECT_FALSE(last.done()) << "told after its last call";
      if (!more) {
        EXPECT_FALSE(static_cast<bool>(data)) << "the last call has no buffer";
        end(res);
        return;
      }
      EXPECT_EQ(static_cast<std::size_t>(res), data.size());
      text += text_of(data.data());
      ++pieces;
      if (keeps) kept.push_back(std::move(data));
      if (then) then();
    };
  }

  std::string text;
  unsigned pieces = 0;
  bool keeps = false;
  std::deque<ProvidedBuffer> kept;
  Owed& last;
};

void cancel_and_see(BackendScenario& s, OperationHandle handle, const Owed& last) {
  must(reference_backend(s).cancel(handle));
  s.run_until(last);
  EXPECT_EQ(last.res, -ECANCELED);
}

/// Text in which a piece that is lost, doubled or in the wrong place shows.
std::string numbers(std::size_t bytes) {
  std::string text;
  for (unsigned i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ' ';
  text.resize(bytes);
  return text;
}

void receives_until_the_end_of_file(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s);
  Received received(s);
  reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  s.settle();
  std::string sent_so_far;
  for (const char* part : {"one", "two", "three"}) {
    write_text(pair.far.get(), part);
    sent_so_far += part;
    s.run_until([&] { return received.text.size() >= sent_so_far.size(); });
    EXPECT_EQ(received.text, sent_so_far);
  }
  EXPECT_FALSE(received.last.done());
  pair.far.reset();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  EXPECT_EQ(pool.free(), pool.count()) << "the end of file has no buffer";
}

void what_came_at_once_comes_in_order(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s);
  Received received(s);
  const std::string text = numbers(10 * kBytes + 7);
  write_text(pair.far.get(), text);
  const OperationHandle handle = reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  s.run_until([&] { return received.text.size() >= text.size(); });
  EXPECT_EQ(received.text, text);
  EXPECT_GE(received.pieces, 11u);
  cancel_and_see(s, handle, received.last);
  EXPECT_EQ(pool.free(), pool.count());
}

void it_waits_for_buffers(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s, 2);
  Received received(s);
  received.keeps = true;
  const std::string text = numbers(5 * kBytes);
  const OperationHandle handle = reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  write_text(pair.far.get(), text);
  s.run_until([&] { return received.kept.size() == 2; });
  s.settle();
  EXPECT_EQ(pool.free(), 0u);
  EXPECT_EQ(received.kept.size(), 2u);
  EXPECT_FALSE(received.last.done());
  for (unsigned given_back = 1; received.text.size() < text.size(); ++given_back) {
    ASSERT_LE(given_back, text.size()) << "no piece is of no bytes";
    received.kept.pop_front();
    s.run_until([&] { return received.kept.size() == 2 || received.text.size() == text.size(); });
  }
  EXPECT_EQ(received.text, text);
  cancel_and_see(s, handle, received.last);
  received.kept.clear();
  EXPECT_EQ(pool.free(), pool.count());
}

void buffers_may_come_back_in_any_order(BackendScenario& s) {
  // Over TCP, since kernels fill several buffers at once where the socket tells them how much there is.
  SocketPair pair = make_tcp_pair();
  const Pool pool = new_pool(s, 4);
  Received received(s);
  received.keeps = true;
  const std::string text = numbers(12 * kBytes);
  reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  write_text(pair.far.get(), text);
  while (received.text.size() < text.size()) {
    s.run_until([&] { return received.kept.size() == 4 || received.text.size() == text.size(); });
    // The next four come while all of these are free, so that one completion may fill several.
    for (const std::size_t i : {2u, 0u, 3u, 1u}) {
      if (i < received.kept.size()) received.kept[i].give_back();
    }
    received.kept.clear();
  }
  EXPECT_EQ(received.text, text);
}

void one_that_waits_for_a_buffer_can_be_cancelled(BackendScenario& s) {
  SocketPair first = make_stream_pair(), second = make_stream_pair();
  const Pool pool = new_pool(s, 2);
  Received received(s), starved(s);
  received.keeps = true;
  const OperationHandle holder = reference_backend(s).recv_each(first.near.get(), pool, 0, received.callback());
  write_text(first.far.get(), numbers(2 * kBytes));
  s.run_until([&] { return received.kept.size() == 2; });
  const OperationHandle handle = reference_backend(s).recv_each(second.near.get(), pool, 0, starved.callback());
  write_text(second.far.get(), "x");
  s.settle();
  EXPECT_EQ(starved.text, "");
  cancel_and_see(s, handle, starved.last);
  received.kept.clear();
  s.settle();
  EXPECT_EQ(starved.text, "");
  // It is told what `received` keeps, which ends here.
  cancel_and_see(s, holder, received.last);
}

void buffers_are_given_back_by_other_threads(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s, 2);
  Received received(s);
  received.keeps = true;
  const std::string text = numbers(20 * kBytes);
  const OperationHandle handle = reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  write_text(pair.far.get(), text);
  while (received.text.size() < text.size()) {
    s.run_until([&] { return received.kept.size() == 2 || received.text.size() == text.size(); });
    std::thread([&received] { received.kept.clear(); }).join();
  }
  EXPECT_EQ(received.text, text);
  cancel_and_see(s, handle, received.last);
}

void buffers_outlive_pool_and_backend(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  Received received(s);
  received.keeps = true;
  {
    // The operation goes on without the handle.
    const Pool pool = new_pool(s);
    reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  }
  write_text(pair.far.get(), "kept");
  s.run_until([&] { return received.text.size() == 4; });
  s.destroy_backend();
  EXPECT_EQ(received.last.res, -ECANCELED);
  std::string kept;
  for (const ProvidedBuffer& buffer : received.kept) kept += text_of(buffer.data());
  EXPECT_EQ(kept, "kept");
  std::thread([&received] { received.kept.clear(); }).join();
}

void a_pool_may_outlive_the_backend(BackendScenario& s) {
  const Pool pool = new_pool(s);
  s.destroy_backend();
  EXPECT_EQ(pool.free(), pool.count());
}

void the_callback_may_cancel(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s);
  Received received(s);
  OperationHandle handle;
  bool asked = false;
  handle = reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback([&] {
    if (!std::exchange(asked, true)) must(reference_backend(s).cancel(handle));
  }));
  write_text(pair.far.get(), "x");
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, -ECANCELED);
  EXPECT_EQ(received.text, "x");
}

void the_silent_hold_no_buffer(BackendScenario& s) {
  constexpr unsigned kCount = 20;
  std::deque<SocketPair> pairs;
  std::deque<Received> received;
  const Pool pool = new_pool(s, 2);
  for (unsigned i = 0; i < kCount; ++i) {
    pairs.push_back(make_stream_pair());
    received.emplace_back(s, "receive " + std::to_string(i));
    reference_backend(s).recv_each(pairs.back().near.get(), pool, 0, received.back().callback());
  }
  s.settle();
  EXPECT_EQ(pool.free(), pool.count());
  for (unsigned i = 0; i < kCount; ++i) write_text(pairs[i].far.get(), std::to_string(i));
  for (unsigned i = 0; i < kCount; ++i) {
    const std::string text = std::to_string(i);
    s.run_until([&] { return received[i].text.size() >= text.size(); });
    EXPECT_EQ(received[i].text, text);
  }
  s.destroy_backend();
  for (const Received& each : received) EXPECT_EQ(each.last.res, -ECANCELED);
}

void a_closed_descriptor_is_an_error(BackendScenario& s) {
  const Pool pool = new_pool(s);
  Received received(s), read(s);
  reference_backend(s).recv_each(closed_fd(), pool, 0, received.callback());
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, -EBADF);
  const Fd file = Fd(::eventfd(0, EFD_CLOEXEC));
  reference_backend(s).recv_each(file.get(), pool, 0, read.callback());
  // Some kernels try only when there is something to be had.
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(file.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  s.run_until(read.last);
  EXPECT_EQ(read.last.res, -ENOTSOCK);
  EXPECT_EQ(pool.free(), pool.count());
}

void reads_a_pipe_to_its_end(BackendScenario& s) {
  for (const int flags : {0, O_NONBLOCK}) {
    Pipe pipe = make_pipe(flags);
    const Pool pool = new_pool(s);
    Received received(s);
    reference_backend(s).read_each(pipe.read_end.get(), pool, received.callback());
    s.settle();
    const std::string text = numbers(6 * kBytes + 1);
    write_text(pipe.write_end.get(), text);
    s.run_until([&] { return received.text.size() >= text.size(); });
    EXPECT_EQ(received.text, text);
    pipe.write_end.reset();
    s.run_until(received.last);
    EXPECT_EQ(received.last.res, 0);
    EXPECT_EQ(pool.free(), pool.count());
  }
}

void reads_a_file_from_its_position_on(BackendScenario& s) {
  const Folder folder;
  const std::string text = numbers(3 * kBytes + 5);
  const Fd file(::open(folder.path("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  write_text(file.get(), text);
  ASSERT_EQ(::lseek(file.get(), 2, SEEK_SET), 2);
  const Pool pool = new_pool(s);
  Received received(s);
  reference_backend(s).read_each(file.get(), pool, received.callback());
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  EXPECT_EQ(received.text, text.substr(2));
  EXPECT_EQ(pool.free(), pool.count());
}

// Messages.

struct Message {
  std::string payload;
  std::string name;
  int flags;
};

struct ReceivedMessages {
  explicit ReceivedMessages(BackendScenario& s) : last(s.owe("a receive of messages")) {}

  MessageCallback callback(std::function<void(const ReceivedMessage&)> then = {}) {
    return [this, end = last.callback(), then = std::move(then)](int res, ReceivedMessage message, bool more) {
      EXPECT_FALSE(last.done()) << "told after its last call";
      if (!more) {
        end(res);
        return;
      }
      EXPECT_EQ(static_cast<std::size_t>(res), message.payload().size());
      messages.push_back({text_of(message.payload()), text_of(message.name()), message.flags()});
      if (then) then(message);
    };
  }

  std::vector<Message> messages;
  Owed& last;
};

void send_to(const BoundSocket& from, const BoundSocket& to, const std::string& text) {
  ASSERT_EQ(::sendto(from.socket.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&to.address),
                     sizeof to.address),
            static_cast<ssize_t>(text.size()));
}

void messages_come_with_their_sender(BackendScenario& s) {
  const BoundSocket from = make_udp_socket(), to = make_udp_socket();
  const Pool pool = must(Pool::create(reference_backend(s), {.count = 4, .bytes = 128}));
  ReceivedMessages received(s);
  const OperationHandle handle =
      reference_backend(s).recvmsg_each(to.socket.get(), pool, {.name = sizeof(sockaddr_in)}, 0, received.callback());
  const std::vector<std::string> texts{"first", "second", "", "third"};
  for (const std::string& text : texts) send_to(from, to, text);
  s.run_until([&] { return received.messages.size() == texts.size(); });
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(received.messages[i].payload, texts[i]);
    sockaddr_in name{};
    ASSERT_EQ(received.messages[i].name.size(), sizeof name);
    std::memcpy(&name, received.messages[i].name.data(), sizeof name);
    EXPECT_EQ(name.sin_port, from.address.sin_port);
    EXPECT_EQ(received.messages[i].flags & MSG_TRUNC, 0);
  }
  send_to(from, to, std::string(300, 'x'));
  s.run_until([&] { return received.messages.size() == texts.size() + 1; });
  EXPECT_NE(received.messages.back().flags & MSG_TRUNC, 0);
  EXPECT_EQ(received.messages.back().payload,
            std::string(128 - sizeof(io_uring_recvmsg_out) - sizeof(sockaddr_in), 'x'));
  cancel_and_see(s, handle, received.last);
  EXPECT_EQ(pool.free(), pool.count());
}

void messages_come_with_control_data(BackendScenario& s) {
  SocketPair pair = make_datagram_pair();
  const int one = 1;
  ASSERT_EQ(::setsockopt(pair.near.get(), SOL_SOCKET, SO_PASSCRED, &one, sizeof one), 0);
  const Pool pool = must(Pool::create(reference_backend(s), {.count = 4, .bytes = 256}));
  ReceivedMessages received(s);
  pid_t sender = 0;
  const OperationHandle handle = reference_backend(s).recvmsg_each(
      pair.near.get(), pool, {.control = CMSG_SPACE(sizeof(ucred))}, 0,
      received.callback([&](const ReceivedMessage& message) {
        msghdr header = message.header();
        for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
          if (control->cmsg_type != SCM_CREDENTIALS) continue;
          ucred credentials{};
          std::memcpy(&credentials, CMSG_DATA(control), sizeof credentials);
          sender = credentials.pid;
        }
      }));
  write_text(pair.far.get(), "hello");
  s.run_until([&] { return received.messages.size() == 1; });
  EXPECT_EQ(received.messages[0].payload, "hello");
  EXPECT_EQ(sender, ::getpid());
  cancel_and_see(s, handle, received.last);
}

void a_message_needs_room_for_its_payload(BackendScenario& s) {
  SocketPair pair = make_datagram_pair();
  const Pool pool = new_pool(s);
  ReceivedMessages received(s);
  reference_backend(s).recvmsg_each(pair.near.get(), pool, {.name = kBytes}, 0, received.callback());
  EXPECT_FALSE(received.last.done());
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, -EMSGSIZE);
}

void datagrams_of_no_bytes_are_told(BackendScenario& s) {
  SocketPair pair = make_datagram_pair();
  const Pool pool = new_pool(s);
  Received received(s);
  const OperationHandle handle = reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  for (const std::string text : {"a", "", "b"}) ASSERT_GE(::send(pair.far.get(), text.data(), text.size(), 0), 0);
  s.run_until([&] { return received.text == "ab"; });
  EXPECT_EQ(received.pieces, 3u);
  cancel_and_see(s, handle, received.last);
}

void messages_of_a_stream_end_with_it(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s);
  ReceivedMessages received(s);
  reference_backend(s).recvmsg_each(pair.near.get(), pool, {}, 0, received.callback());
  write_text(pair.far.get(), "hello");
  pair.far.reset();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  std::string all;
  for (const Message& message : received.messages) all += message.payload;
  EXPECT_EQ(all, "hello");
  EXPECT_EQ(pool.free(), pool.count());
}

// Memory of one's own.

void receives_into_what_the_callback_allocates(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  std::array<std::byte, 8> memory{};
  unsigned allocations = 0;
  std::string text;
  Repeated received(s, "a receive");
  reference_backend(s).recv_each(
      pair.near.get(),
      [&] {
        ++allocations;
        return std::span<std::byte>(memory);
      },
      0, received.callback([&](int res) { text += text_of(std::span(memory).first(static_cast<std::size_t>(res))); }));
  const std::string sent_text = numbers(50);
  write_text(pair.far.get(), sent_text);
  s.run_until([&] { return text.size() == sent_text.size(); });
  EXPECT_EQ(text, sent_text);
  EXPECT_GE(allocations, received.results.size());
  EXPECT_LE(allocations, received.results.size() + 1) << "memory that was not used is asked for once";
  pair.far.reset();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
}

void no_memory_ends_it(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  std::array<std::byte, 8> memory{};
  bool has_memory = true;
  Repeated received(s, "a receive");
  reference_backend(s).recv_each(
      pair.near.get(),
      [&] { return std::exchange(has_memory, false) ? std::span<std::byte>(memory) : std::span<std::byte>(); }, 0,
      received.callback());
  write_text(pair.far.get(), "0123456789abcdef");
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, -ENOBUFS);
  EXPECT_EQ(received.results.size(), 1u);
}

void reads_into_what_the_callback_allocates(BackendScenario& s) {
  const Fd counter(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::uint64_t value = 0;
  std::uint64_t sum = 0;
  Repeated received(s, "a read");
  OperationHandle handle = reference_backend(s).read_each(
      counter.get(), [&] { return std::as_writable_bytes(std::span(&value, 1)); }, received.callback([&](int res) {
        EXPECT_EQ(res, 8);
        sum += value;
      }));
  s.settle();
  for (std::uint64_t add = 1; add <= 3; ++add) {
    const std::uint64_t before = sum;
    ASSERT_EQ(::write(counter.get(), &add, sizeof add), static_cast<ssize_t>(sizeof add));
    s.run_until([&] { return sum >= before + add; });
    EXPECT_EQ(sum, before + add);
  }
  cancel_and_see(s, handle, received.last);
}

void messages_into_what_the_callback_allocates(BackendScenario& s) {
  const BoundSocket from = make_udp_socket(), to = make_udp_socket();
  std::array<char, 32> payload{};
  sockaddr_in name{};
  iovec vector{.iov_base = payload.data(), .iov_len = payload.size()};
  msghdr message{};
  std::vector<std::string> texts;
  Repeated received(s, "a receive of messages");
  OperationHandle handle = reference_backend(s).recvmsg_each(
      to.socket.get(),
      [&] {
        message = {};
        message.msg_name = &name;
        message.msg_namelen = sizeof name;
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        return &message;
      },
      0, received.callback([&](int res) {
        texts.emplace_back(payload.data(), static_cast<std::size_t>(res));
        EXPECT_EQ(message.msg_namelen, sizeof name);
        EXPECT_EQ(name.sin_port, from.address.sin_port);
      }));
  for (const char* text : {"one", "", "two"}) send_to(from, to, text);
  s.run_until([&] { return texts.size() == 3; });
  EXPECT_EQ(texts, (std::vector<std::string>{"one", "", "two"}));
  cancel_and_see(s, handle, received.last);
}

// What the kernel may answer.

void a_refused_ring_of_buffers_is_no_failure(BackendScenario& s) {
  const FaultScope scope = s.inject("register/errno:nth=1:op=REGISTER_PBUF_RING:errno=ENOMEM");
  const Pool pool = new_pool(s);
  EXPECT_FALSE(pool.in_kernel());
  EXPECT_NE(pool.reason().find("Cannot allocate memory"), std::string::npos) << pool.reason();
  SocketPair pair = make_stream_pair();
  Received received(s);
  reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  const std::string text = numbers(6 * kBytes);
  write_text(pair.far.get(), text);
  pair.far.reset();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  EXPECT_EQ(received.text, text);
}

void answers_that_pass_do_not_end_it(BackendScenario& s) {
  for (const char* error : {"EINVAL", "ENOBUFS", "EINTR", "EAGAIN"}) {
    SocketPair pair = make_stream_pair();
    const Pool pool = new_pool(s);
    Received received(s);
    const FaultScope scope = s.inject("cqe/errno:nth=1:fd=" + std::to_string(pair.near.get()) + ":errno=" + error);
    reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
    s.settle();
    write_text(pair.far.get(), "hello");
    s.run_until([&] { return received.text.size() >= 5 || received.last.done(); });
    pair.far.reset();
    s.run_until(received.last);
    EXPECT_EQ(received.last.res, 0) << error;
    // The faulted completion may have been that of data.
    EXPECT_TRUE(received.text == "hello" || received.text.empty()) << error << ": " << received.text;
  }
}

/// Has the kernel drop the completion of one NOP, and the loop find out.
void lose_a_nop(BackendScenario& s) {
  Owed& lost = s.owe("the NOP whose completion is dropped");
  const FaultScope scope = s.inject("cqe/full:nth=1:op=NOP,cqe/drop:nth=1");
  must(s.backend().submit(
      must(s.backend().make_operation([](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); }, lost.callback()))));
  s.timer(s.moment(), s.tell().callback());
  s.run_until(lost);
  EXPECT_EQ(lost.res, -EBADR);
}

void buffers_and_receives_survive_a_recovery(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s);
  Received received(s);
  received.keeps = true;
  reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  write_text(pair.far.get(), "before ");
  s.run_until([&] { return received.text.size() == 7; });
  lose_a_nop(s);
  EXPECT_EQ(reference_backend(s).counters().recoveries, 1u);
  received.kept.clear();
  received.keeps = false;
  const std::string text = numbers(9 * kBytes);
  write_text(pair.far.get(), text);
  s.run_until([&] { return received.text.size() >= 7 + text.size(); });
  EXPECT_EQ(received.text, "before " + text);
  pair.far.reset();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  EXPECT_EQ(pool.free(), pool.count());
}

void one_that_waits_for_a_buffer_survives_a_recovery(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s, 2);
  Received received(s);
  received.keeps = true;
  const std::string text = numbers(5 * kBytes);
  reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  write_text(pair.far.get(), text);
  pair.far.reset();
  s.run_until([&] { return received.kept.size() == 2; });
  s.settle();
  lose_a_nop(s);
  EXPECT_EQ(received.kept.size(), 2u);
  received.keeps = false;
  received.kept.clear();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  EXPECT_EQ(received.text, text);
  EXPECT_EQ(pool.free(), pool.count());
}

// The pool itself.

void sizes_are_rounded_up_and_bounded(BackendScenario& s) {
  Backend& backend = reference_backend(s);
  const Pool small = must(Pool::create(backend, {.count = 1, .bytes = 1}));
  EXPECT_EQ(small.count(), 2u);
  EXPECT_EQ(small.buffer_bytes(), 32u);
  EXPECT_EQ(small.in_kernel(), small.reason().empty()) << small.reason();
  const Pool odd = must(Pool::create(backend, {.count = 5, .bytes = 33}));
  EXPECT_EQ(odd.count(), 8u);
  EXPECT_EQ(odd.buffer_bytes(), 64u);
  EXPECT_EQ(odd.free(), 8u);
  for (const BufferPoolSize& size :
       {BufferPoolSize{.count = 0}, BufferPoolSize{.count = 32769}, BufferPoolSize{.count = 2, .bytes = 0}}) {
    const Result<Pool> refused = Pool::create(backend, size);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), std::errc::invalid_argument);
  }
}

void pools_do_not_mix(BackendScenario& s) {
  const Pool small = new_pool(s);
  const Pool large = must(Pool::create(reference_backend(s), {.count = 4, .bytes = 1024}));
  SocketPair first = make_stream_pair(), second = make_stream_pair();
  Received from_small(s), from_large(s);
  reference_backend(s).recv_each(first.near.get(), small, 0, from_small.callback());
  reference_backend(s).recv_each(second.near.get(), large, 0, from_large.callback());
  const std::string text = numbers(4 * kBytes);
  write_text(first.far.get(), text);
  write_text(second.far.get(), text);
  first.far.reset();
  second.far.reset();
  s.run_until([&] { return from_small.last.done() && from_large.last.done(); });
  EXPECT_EQ(from_small.text, text);
  EXPECT_EQ(from_large.text, text);
  EXPECT_EQ(small.free(), small.count());
  EXPECT_EQ(large.free(), large.count());
}

}  // namespace

void internal::add_reference_receives(BackendBehaviours& behaviours) {
  // Without SEND_ZC the backend takes a kernel for one that has no multishot receive.
  ReferenceSuite pools(behaviours, "ReferenceReceives", {IORING_OP_SEND_ZC, IORING_OP_RECV, IORING_OP_RECVMSG});
  pools.add("ReceivesUntilTheEndOfFile", receives_until_the_end_of_file);
  pools.add("WhatCameAtOnceComesInOrder", what_came_at_once_comes_in_order);
  pools.add("ItWaitsForBuffers", it_waits_for_buffers);
  pools.add("BuffersMayComeBackInAnyOrder", buffers_may_come_back_in_any_order);
  pools.add("OneThatWaitsForABufferCanBeCancelled", one_that_waits_for_a_buffer_can_be_cancelled);
  pools.add("BuffersAreGivenBackByOtherThreads", buffers_are_given_back_by_other_threads);
  pools.add("BuffersOutlivePoolAndBackend", buffers_outlive_pool_and_backend);
  pools.add("APoolMayOutliveTheBackend", a_pool_may_outlive_the_backend);
  pools.add("TheCallbackMayCancel", the_callback_may_cancel);
  pools.add("TheSilentHoldNoBuffer", the_silent_hold_no_buffer);
  pools.add("AClosedDescriptorIsAnError", a_closed_descriptor_is_an_error);
  pools.add("ReadsAPipeToItsEnd", reads_a_pipe_to_its_end);
  pools.add("ReadsAFileFromItsPositionOn", reads_a_file_from_its_position_on, {.features = IORING_FEAT_RW_CUR_POS});
  pools.add("DatagramsOfNoBytesAreTold", datagrams_of_no_bytes_are_told);
  pools.add("MessagesComeWithTheirSender", messages_come_with_their_sender);
  pools.add("MessagesComeWithControlData", messages_come_with_control_data);
  pools.add("AMessageNeedsRoomForItsPayload", a_message_needs_room_for_its_payload);
  pools.add("MessagesOfAStreamEndWithIt", messages_of_a_stream_end_with_it);
  pools.add("SizesAreRoundedUpAndBounded", sizes_are_rounded_up_and_bounded);
  pools.add("PoolsDoNotMix", pools_do_not_mix);
  const Needs buffer_rings{.opcodes = {IORING_OP_SEND_ZC}};
  pools.add_injecting("ARefusedRingOfBuffersIsNoFailure", a_refused_ring_of_buffers_is_no_failure,
                      "register/errno:op=REGISTER_PBUF_RING:errno=ENOMEM", buffer_rings);
  pools.add_injecting("AnswersThatPassDoNotEndIt", answers_that_pass_do_not_end_it, "cqe/errno:errno=EINVAL",
                      buffer_rings);
  pools.add_injecting("BuffersAndReceivesSurviveARecovery", buffers_and_receives_survive_a_recovery,
                      "cqe/full:nth=1:op=NOP,cqe/drop:nth=1", {.opcodes = {IORING_OP_ASYNC_CANCEL}});

  pools.add_injecting("OneThatWaitsForABufferSurvivesARecovery", one_that_waits_for_a_buffer_survives_a_recovery,
                      "cqe/full:nth=1:op=NOP,cqe/drop:nth=1", {.opcodes = {IORING_OP_ASYNC_CANCEL}});

  ReferenceSuite own(behaviours, "ReferenceReceivesIntoOwnMemory", {IORING_OP_RECV, IORING_OP_RECVMSG, IORING_OP_READ});
  own.add("ReceivesIntoWhatTheCallbackAllocates", receives_into_what_the_callback_allocates);
  own.add("NoMemoryEndsIt", no_memory_ends_it);
  own.add("ReadsIntoWhatTheCallbackAllocates", reads_into_what_the_callback_allocates);
  own.add("MessagesIntoWhatTheCallbackAllocates", messages_into_what_the_callback_allocates);
}

}  // namespace assay::conformance
