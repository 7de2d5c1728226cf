// What is waited for: time, a doorbell, connections.

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/specimens/trial.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

int run_loop(Backend& backend) {
  const Result<LoopStatus> status = backend.loop();
  return status ? 0 : -status.error().code.value();
}

int sleep_by_reference(Kernel& kernel, unsigned times, std::chrono::nanoseconds each) {
  int result = -ECANCELED;  // told by the backend's end, too
  const Result<std::unique_ptr<Backend>> backend = Backend::create(kernel);
  if (!backend) return -backend.error().code.value();
  for (; times != 0; --times) {
    (*backend)->timeout(each, [&](int res) { result = res; });
    if (const int error = run_loop(**backend); error != 0) return error;
    if (result != -ETIME) return result;
  }
  return 0;
}

// One that goes on by itself until `told` has enough.
int repeat_by_reference(Kernel& kernel, const std::function<bool(int res)>& told,
                        const std::function<OperationHandle(Backend&, RepeatedCallback)>& start) {
  // Told of by the backend's end, too.
  OperationHandle handle;
  bool over = false;
  int error = 0;
  const Result<std::unique_ptr<Backend>> created = Backend::create(kernel);
  if (!created) return -created.error().code.value();
  Backend& backend = **created;
  handle = start(backend, [&](int res, bool more) {
    if (over) return;
    if (res < 0) {
      error = res;
    } else if (!told(res)) {
      over = true;
      // Where the kernel cannot cancel, whether it says so or not, the backend's end is the end of it too.
      if (more) (void)backend.cancel(handle);
      backend.loop_break();
    }
  });
  const int failed = run_loop(backend);
  return failed != 0 ? failed : error;
}

int hear_by_reference(Kernel& kernel, int event_fd, const std::function<bool()>& rung) {
  return repeat_by_reference(
      kernel, [&](int) { return rung(); },
      [&](Backend& backend, RepeatedCallback told) { return backend.poll_each(event_fd, POLLIN, std::move(told)); });
}

int accept_by_reference(Kernel& kernel, int listener, const std::function<bool(int fd)>& accepted) {
  return repeat_by_reference(kernel, accepted, [&](Backend& backend, RepeatedCallback told) {
    return backend.accept_each(listener, SOCK_CLOEXEC, std::move(told));
  });
}

Fd connect_to(const sockaddr_un& address, socklen_t bytes) {
  Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  (void)::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), bytes);
  return client;
}

}  // namespace

void sleeps(ScenarioRun& run, const Sleeper& sleep) {
  constexpr unsigned kTimes = 3;
  constexpr std::chrono::nanoseconds kEach = 10ms;
  const std::chrono::nanoseconds before = internal::time_of(run.kernel());
  const int result = sleep(run.kernel(), kTimes, kEach);
  if (!run.ended("the wait", result)) return;
  run.expect(internal::time_of(run.kernel()) - before >= kTimes * kEach, "less time went by than was to be waited");
}

void hears_the_doorbell(ScenarioRun& run, const DoorbellWaiter& wait) {
  constexpr unsigned kRings = 4;
  const Fd bell(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  unsigned heard = 0;
  const int result = wait(run.kernel(), bell.get(), [&] {
    eventfd_t value = 0;
    if (::eventfd_read(bell.get(), &value) != 0) return heard < kRings;  // told twice
    if (++heard < kRings) ::eventfd_write(bell.get(), 1);
    return heard < kRings;
  });
  if (!run.ended("the wait", result)) return;
  run.expect(heard == kRings, "a ring of the bell was not heard");
}

void accepts_each(ScenarioRun& run, const Accepter& accept) {
  constexpr unsigned kClients = 3;
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;  // the kernel finds a name
  ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address.sun_family);
  socklen_t bytes = sizeof address;
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &bytes);
  ::listen(listener.get(), kClients);
  std::vector<Fd> clients;
  clients.push_back(connect_to(address, bytes));
  unsigned accepted = 0;
  const int result = accept(run.kernel(), listener.get(), [&](int fd) {
    ::close(fd);
    if (++accepted < kClients) clients.push_back(connect_to(address, bytes));
    return accepted < kClients;
  });
  if (!run.ended("the accept", result)) return;
  run.expect(accepted == kClients, "a connection was not accepted");
}

void internal::add_waiting_trials(std::vector<Trial>& trials) {
  trials.push_back({"sleeps", "Waits do not end early.", [](ScenarioRun& run) { sleeps(run, sleep_by_reference); }});
  trials.push_back({"hears-the-doorbell", "An eventfd is heard each time that it is written to.",
                    [](ScenarioRun& run) { hears_the_doorbell(run, hear_by_reference); }});
  trials.push_back({"accepts-each", "Connections are accepted one after the other.",
                    [](ScenarioRun& run) { accepts_each(run, accept_by_reference); }});
}

}  // namespace assay::conformance
