// Sockets: echo in its forms, connections accepted and made, datagrams, zero-copy sends.

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/scenarios/scenarios.h"

namespace assay::conformance {
namespace {

constexpr std::size_t kBufferBytes = 64;

// Sends back what it receives, one send after the other, each whole.
class Echo {
 public:
  Echo(ScenarioRun& run, ScenarioLoop& loop, int socket) : run_(run), loop_(loop), socket_(socket) {}
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;

  void start(const BufferPool& pool) {
    last_ = &loop_.owe("recv_each");
    handle_ = loop_->recv_each(socket_, pool, 0, [this](int res, ProvidedBuffer data, bool more) {
      if (more) {
        // While the backend ends nothing more can be sent.
        if (failed_ || !loop_) return;
        queue_.push_back(std::move(data));
        if (!sending_) send_next();
        return;
      }
      ++last_->calls;
      last_->res = res;
      failed_ |= !run_.ended("recv_each", res == -ECANCELED && stopped_ ? 0 : res);
    });
  }
  /// From now on it may end.
  void may_stop() { stopped_ = true; }
  void stop() { loop_.stop(handle_, *last_); }
  /// Nothing more will be sent back.
  bool over() const { return failed_ || (last_->done() && queue_.empty() && !sending_); }
  bool failed() const { return failed_; }
  const Answer& last() const { return *last_; }

 private:
  void send_next() {
    sending_ = true;
    Answer& answer = loop_.owe("the send of an echo");
    loop_->write_all(socket_, queue_.front().data(), kCurrentPosition, [this, &answer](TransferResult result) {
      ++answer.calls;
      failed_ |= !run_.ended("write_all", result.error == -ECANCELED && stopped_ ? 0 : result.error);
      queue_.pop_front();
      sending_ = false;
      if (!queue_.empty() && !failed_ && loop_) send_next();
    });
  }

  ScenarioRun& run_;
  ScenarioLoop& loop_;
  int socket_;
  Answer* last_ = nullptr;
  OperationHandle handle_;
  std::deque<ProvidedBuffer> queue_;
  bool sending_ = false;
  bool stopped_ = false;
  bool failed_ = false;
};

// What a peer has to read by now.
std::string waiting_at(int socket) {
  std::string text(4096, '\0');
  const ssize_t bytes = ::recv(socket, text.data(), text.size(), MSG_DONTWAIT);
  text.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  return text;
}

void write_text(int fd, std::string_view text) { (void)!::write(fd, text.data(), text.size()); }

// Clients that write and wait for their echo, a few times.
void echo_with(ScenarioRun& run, const BackendOptions& options, std::size_t clients, unsigned buffers) {
  std::vector<Ends> ends;
  for (std::size_t i = 0; i < clients; ++i) ends.push_back(Ends::sockets(SOCK_STREAM));
  ScenarioLoop loop(run, options);
  if (!loop) return;
  std::deque<Echo> echoes;
  std::optional<BufferPool> own;
  if (loop->provided_buffers() == nullptr) {
    Result<BufferPool> pool = BufferPool::create(loop.backend(), {.count = buffers, .bytes = kBufferBytes});
    if (!run.ended("BufferPool::create", pool)) return;
    own = *std::move(pool);
  }
  const BufferPool& pool = own ? *own : *loop->provided_buffers();
  for (const Ends& end : ends) {
    echoes.emplace_back(run, loop, end.near());
    echoes.back().start(pool);
  }
  for (std::size_t round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < clients; ++i) {
      if (echoes[i].over()) continue;  // what of the last text is still to come would be taken for this one's
      const std::string text = numbered_text(kBufferBytes + 40 * round + i);
      write_text(ends[i].far(), text);
      std::string echoed;
      loop.until("an echo", [&] {
        echoed += waiting_at(ends[i].far());
        return echoed.size() >= text.size() || echoes[i].over();
      });
      run.expect(text.starts_with(echoed), "what comes back is not what was sent");
      if (!echoes[i].failed() && !run.fired(FaultPointId::kCqeEof))
        run.expect(echoed.size() == text.size(), "a part of an echo is missing");
    }
  }
  for (Echo& each : echoes) each.may_stop();
  for (Echo& each : echoes) each.stop();
  loop.destroy();
}

void echo(ScenarioRun& run) { echo_with(run, {}, 1, 4); }
void echo_to_many(ScenarioRun& run) { echo_with(run, {.capacity = 16}, 3, 4); }
void echo_from_initial_buffers(ScenarioRun& run) {
  echo_with(run, {.initial_provided_buffers = {.count = 4, .bytes = kBufferBytes}}, 1, 0);
}
void echo_deferred(ScenarioRun& run) { echo_with(run, {.defer_taskrun = true, .register_ring_fd = true}, 2, 2); }

// The only buffer is kept until all has come to a stop, then given back.
void starvation(ScenarioRun& run) {
  const Ends ends = Ends::sockets(SOCK_STREAM);
  ScenarioLoop loop(run);
  if (!loop) return;
  Result<BufferPool> pool = BufferPool::create(loop.backend(), {.count = 2, .bytes = kBufferBytes});
  if (!run.ended("BufferPool::create", pool)) return;
  const std::string text = numbered_text(5 * kBufferBytes);
  std::string received;
  std::deque<ProvidedBuffer> kept;
  Answer& last = loop.owe("recv_each");
  bool stopped = false;
  const OperationHandle handle = loop->recv_each(ends.near(), *pool, 0, [&](int res, ProvidedBuffer data, bool more) {
    if (more) {
      received += text_of(data.data());
      kept.push_back(std::move(data));
      return;
    }
    ++last.calls;
    last.res = res;
    if (!(stopped && res == -ECANCELED)) run.ended("recv_each", res);
  });
  write_text(ends.far(), text);
  while (received.size() < text.size() && !last.done()) {
    const bool go_on = loop.until("the next piece", [&] {
      return kept.size() == 2 || received.size() >= text.size() || last.done() ||
             (!kept.empty() && run.fired_any_of({FaultPointId::kCqeEnobufs, FaultPointId::kCqeShort}));
    });
    if (!go_on) break;
    loop.turns(2);
    kept.clear();
  }
  run.expect(text.starts_with(received), "what was received is not what was sent");
  if (!last.done()) {
    run.expect(received == text, "a part is missing");
    stopped = true;
    loop.stop(handle, last);
  }
  kept.clear();
  loop.destroy();
}

sockaddr_un new_address() {
  static unsigned number = 0;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // Abstract, so that nothing is left in a folder.
  std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "assay-scenario-%d-%u", ::getpid(), ++number);
  return address;
}

// Accepts connections as they come, and receives a word from each.
void accepting(ScenarioRun& run) {
  const sockaddr_un address = new_address();
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 8) != 0) {
    return run.violated("no socket listens");
  }
  std::vector<Fd> accepted;
  ScenarioLoop loop(run);
  if (!loop) return;
  Answer& last = loop.owe("accept_each");
  bool stopped = false;
  const OperationHandle handle = loop->accept_each(listener.get(), SOCK_CLOEXEC, [&](int res, bool more) {
    if (more) {
      if (res >= 0) accepted.emplace_back(res);
      return;
    }
    ++last.calls;
    last.res = res;
    if (!(stopped && res == -ECANCELED)) run.ended("accept_each", res);
  });
  std::vector<Fd> clients;
  for (std::size_t i = 0; i < 3; ++i) {
    clients.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(clients.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return run.violated("connect fails");
    }
    loop.until("a connection", [&] { return accepted.size() > i || last.done(); });
    if (last.done()) break;
    write_text(clients.back().get(), "hello");
    std::string word(5, '\0');
    const int res = loop.result_of(
        "recv", [&](ResultCallback done) { loop->recv(accepted.back().get(), room_in(word), 0, std::move(done)); });
    if (res < 0) run.ended("recv", res);
    if (res > 0)
      run.expect(word.substr(0, static_cast<std::size_t>(res)) ==
                     std::string("hello").substr(0, static_cast<std::size_t>(res)),
                 "another word came");
  }
  stopped = true;
  if (!last.done()) {
    loop.stop(handle, last);
  }
  loop.destroy();
}

// A socket is made, connected, used and closed, all by the ring.
void connecting(ScenarioRun& run) {
  const sockaddr_un address = new_address();
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 8) != 0) {
    return run.violated("no socket listens");
  }
  ScenarioLoop loop(run);
  const int fd = loop.result_of(
      "socket", [&](ResultCallback done) { loop->socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, std::move(done)); });
  if (!loop || (fd < 0 && !run.ended("socket", fd))) return;
  const int connected = loop.result_of("connect", [&](ResultCallback done) {
    loop->connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address, std::move(done));
  });
  if (run.ended("connect", connected)) {
    const int sent = loop.result_of(
        "send", [&](ResultCallback done) { loop->send(fd, bytes_of("hello"), MSG_NOSIGNAL, std::move(done)); });
    if (sent < 0) run.ended("send", sent);
    const int ended =
        loop.result_of("shutdown", [&](ResultCallback done) { loop->shutdown(fd, SHUT_WR, std::move(done)); });
    run.ended("shutdown", ended);
  }
  const int closed = loop.result_of("close", [&](ResultCallback done) { loop->close(fd, std::move(done)); });
  if (!run.ended("close", closed)) ::close(fd);
}

// Nothing comes in time: the limit ends the receive, and only it.
void receive_with_limit(ScenarioRun& run) {
  const Ends ends = Ends::sockets(SOCK_STREAM);
  ScenarioLoop loop(run);
  if (!loop) return;
  std::string word(5, '\0');
  Answer& received = loop.owe("a receive with a limit");
  OperationHandle handle;
  bool limited = false;
  Timer limit(loop.backend(), [&] {
    limited = true;
    if (!loop->cancel(handle) || run.hides(IORING_OP_ASYNC_CANCEL))
      (void)!::write(ends.far(), "x", 1);  // where a kernel cannot cancel
  });
  handle = loop->recv(ends.near(), room_in(word), 0, loop.answer(received, [&](int) { (void)limit.stop(); }));
  run.ended("start_after", limit.start_after(std::chrono::milliseconds(10)));
  loop.until(received);
  if (received.res == -ECANCELED) {
    run.expect(limited || run.allows(ECANCELED), "cancelled before its time");
  } else if (received.res < 0) {
    run.ended("recv", received.res);
  } else {
    run.expect(limited || run.fired(FaultPointId::kCqeEof), "something was received, and nobody sent");
  }
  loop.destroy();
}

void datagrams(ScenarioRun& run) {
  const Ends ends = Ends::sockets(SOCK_DGRAM);
  ScenarioLoop loop(run);
  if (!loop) return;
  Result<BufferPool> pool = BufferPool::create(loop.backend(), {.count = 4, .bytes = 256});
  if (!run.ended("BufferPool::create", pool)) return;
  std::vector<std::string> received;
  Answer& last = loop.owe("recvmsg_each");
  bool stopped = false;
  const OperationHandle handle =
      loop->recvmsg_each(ends.near(), *pool, {}, 0, [&](int res, ReceivedMessage message, bool more) {
        if (more) {
          received.push_back(text_of(message.payload()));
          return;
        }
        ++last.calls;
        last.res = res;
        if (!(stopped && res == -ECANCELED)) run.ended("recvmsg_each", res);
      });
  for (const char* word : {"one", "two", "three"}) {
    const std::size_t before = received.size();
    write_text(ends.far(), word);
    loop.until("a datagram", [&] { return received.size() > before || last.done(); });
    if (last.done()) break;
    // One that is told without bytes is none that was sent: the file's end, by a fault.
    while (received.back().empty() && run.fired(FaultPointId::kCqeEof) && received.back() != word) {
      const std::size_t now = received.size();
      loop.until("the datagram behind it", [&] { return received.size() > now || last.done(); });
      if (last.done()) break;
    }
    if (!last.done()) run.expect(received.back() == word, "another datagram came");
  }
  stopped = true;
  if (!last.done()) {
    loop.stop(handle, last);
  }
  loop.destroy();
}

// Over TCP, where the kernel sends without a copy, and the buffer is the sender's again only with the notification.
void zero_copy(ScenarioRun& run) {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto* name = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener.get(), name, bytes) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), name, &bytes) != 0 || ::connect(client.get(), name, bytes) != 0) {
    return run.violated("no connection over TCP");
  }
  const Fd server(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const std::string text = numbered_text(600);
  ScenarioLoop loop(run);
  std::size_t sent = 0;
  while (loop && sent < text.size()) {
    const int res = loop.result_of("send_zc", [&](ResultCallback done) {
      loop->send_zc(client.get(), bytes_of(text).subspan(sent), MSG_NOSIGNAL, std::move(done));
    });
    if (res < 0 && !run.ended("send_zc", res)) break;
    if (!run.expect(res > 0, "send_zc sends nothing")) break;
    sent += static_cast<std::size_t>(res);
  }
  loop.destroy();
  std::string received;
  while (received.size() < sent) {
    std::string part(sent - received.size(), '\0');
    const ssize_t got = ::recv(server.get(), part.data(), part.size(), 0);
    if (got <= 0) break;
    received += part.substr(0, static_cast<std::size_t>(got));
  }
  run.expect(received == text.substr(0, sent), "what arrives is not what was sent");
}

}  // namespace

void internal::add_socket_scenarios(std::vector<Scenario>& scenarios) {
  scenarios.push_back({"echo", "A stream comes back whole: multishot receive into provided buffers.", echo});
  scenarios.push_back({"echo-to-many", "Three streams share four buffers and a CQ of 16.", echo_to_many});
  scenarios.push_back(
      {"echo-initial-buffers", "The same from the buffers that the backend was made with.", echo_from_initial_buffers});
  scenarios.push_back({"echo-deferred", "The same with deferred task work and a registered ring.", echo_deferred});
  scenarios.push_back({"starvation", "Buffers are kept until none is left, then given back.", starvation});
  scenarios.push_back({"accept", "Connections are accepted as they come, and read from.", accepting});
  scenarios.push_back({"connect", "A socket is made, connected, written to, shut down and closed.", connecting});
  scenarios.push_back(
      {"receive-with-limit", "A receive from which nothing comes is ended by a timer.", receive_with_limit});
  scenarios.push_back({"datagrams", "Datagrams are received one by one, whole.", datagrams});
  scenarios.push_back(
      {"zero-copy", "A text is sent without copies, and the buffer is let go of when it may be.", zero_copy});
}

}  // namespace assay::conformance
