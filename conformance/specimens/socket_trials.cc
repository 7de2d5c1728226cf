// Streams: received to their end, and sent whole.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/specimens/trial.h"

namespace assay::conformance {
namespace {

int receive_by_reference(Kernel& kernel, int socket, const std::function<void(std::span<const std::byte>)>& got) {
  int result = 0;  // told by the backend's end, too
  const Result<std::unique_ptr<Backend>> backend = Backend::create(kernel);
  if (!backend) return -backend.error().code.value();
  const Result<BufferPool> pool = BufferPool::create(**backend, {.count = 8, .bytes = 64});
  if (!pool) return -pool.error().code.value();
  (*backend)->recv_each(socket, *pool, 0, [&](int res, ProvidedBuffer data, bool more) {
    if (res > 0) got(data.data());
    if (!more) result = res;
  });
  const Result<LoopStatus> status = (*backend)->loop();
  return status ? result : -status.error().code.value();
}

int send_by_reference(Kernel& kernel, int socket, std::span<std::byte> from) {
  int result = -ECANCELED;  // told by the backend's end, too
  const Result<std::unique_ptr<Backend>> backend = Backend::create(kernel);
  if (!backend) return -backend.error().code.value();
  std::size_t sent = 0;
  while (sent < from.size()) {
    (*backend)->send_zc(socket, from.subspan(sent), MSG_NOSIGNAL, [&](int res) { result = res; });
    if (const Result<LoopStatus> status = (*backend)->loop(); !status) return -status.error().code.value();
    if (result < 0) return result;
    sent += static_cast<std::size_t>(result);
  }
  return static_cast<int>(sent);
}

struct TcpPair {
  Fd near{-1};
  Fd far{-1};
};

TcpPair tcp_pair() {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), bytes);
  ::listen(listener.get(), 1);
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &bytes);
  TcpPair pair;
  pair.near = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  (void)::connect(pair.near.get(), reinterpret_cast<const sockaddr*>(&address), bytes);
  pair.far = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return pair;
}

// Receives so many bytes, or what comes until the stream ends.
std::string receive(int socket, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::size_t received = 0;
  while (received < bytes) {
    constexpr int kLongMs = 1000;
    pollfd ready{.fd = socket, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, kLongMs) != 1) break;
    const ssize_t part = ::recv(socket, text.data() + received, bytes - received, MSG_DONTWAIT);
    if (part <= 0) break;
    received += static_cast<std::size_t>(part);
  }
  text.resize(received);
  return text;
}

void check_send(ScenarioRun& run, const Sender& send, int near, int far) {
  constexpr std::size_t kBytes = 3000;
  const std::string text = numbered_text(kBytes);
  std::string from = text;
  const int result = send(run.kernel(), near, room_in(from));
  std::fill(from.begin(), from.end(), '#');
  run.expect(result != -EINTR && result != -EAGAIN, "the send gives up for what it had to try again");
  if (!run.ended("the send", result < 0 ? result : 0) || result < 0) return;
  if (!run.expect(static_cast<std::size_t>(result) == kBytes, "fewer bytes were sent than asked for")) return;
  run.expect(receive(far, kBytes) == text, "the peer got something else than was sent");
}

}  // namespace

void receives_the_stream(ScenarioRun& run, const StreamReceiver& receive_stream) {
  constexpr std::size_t kPieces = 4;
  constexpr std::size_t kPieceBytes = 150;
  const std::string text = numbered_text(kPieces * kPieceBytes);
  Ends ends = Ends::sockets(SOCK_STREAM);
  std::string received;
  std::size_t written = 0;
  const auto write_piece = [&] {
    if (written == kPieces) return;
    (void)!::write(ends.far(), text.data() + written * kPieceBytes, kPieceBytes);
    if (++written == kPieces) ends.close_far();
  };
  write_piece();
  const int result = receive_stream(run.kernel(), ends.near(), [&](std::span<const std::byte> data) {
    received += text_of(data);
    if (received.size() >= written * kPieceBytes) write_piece();
  });
  if (!run.ended("the receive", result)) return;
  if (run.fired(FaultPointId::kCqeEof)) {
    run.expect(text.starts_with(received), "what was received is not how the stream begins");
    return;
  }
  run.expect(received == text, "what was received is not the stream");
}

void sends_whole(ScenarioRun& run, const Sender& send) {
  const TcpPair pair = tcp_pair();
  check_send(run, send, pair.near.get(), pair.far.get());
}

void sends_whole_locally(ScenarioRun& run, const Sender& send) {
  const Ends ends = Ends::sockets(SOCK_STREAM);
  check_send(run, send, ends.near(), ends.far());
}

void internal::add_socket_trials(std::vector<Trial>& trials) {
  trials.push_back({"receives-the-stream", "A stream is received to its end, piece by piece.",
                    [](ScenarioRun& run) { receives_the_stream(run, receive_by_reference); }});
  trials.push_back({"sends-whole", "A buffer is sent whole over TCP, and free when that is told.",
                    [](ScenarioRun& run) { sends_whole(run, send_by_reference); }});
  trials.push_back({"sends-whole-locally", "A buffer is sent whole over a socket that has no zero copy.",
                    [](ScenarioRun& run) { sends_whole_locally(run, send_by_reference); }});
}

}  // namespace assay::conformance
