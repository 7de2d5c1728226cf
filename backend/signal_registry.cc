#include "assay/backend/signal_registry.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace assay::internal {
namespace {

using Inboxes = std::vector<SignalInbox*>;

// Who listens to one signal. The list that a handler reads is never changed; another one takes its place.
struct Listeners {
  std::atomic<const Inboxes*> inboxes{nullptr};
  struct sigaction previous {};
};

std::array<Listeners, kSignals> all_listeners;
std::mutex registry_mutex;
// Handlers that are reading a list now. A list that was replaced is freed when there are none.
std::atomic<int> handlers_running{0};

void handle_signal(int signal) {
  const int saved_errno = errno;
  handlers_running.fetch_add(1);
  if (const Inboxes* inboxes = all_listeners[static_cast<std::size_t>(signal)].inboxes.load()) {
    for (SignalInbox* inbox : *inboxes) inbox->deliver(signal);
  }
  handlers_running.fetch_sub(1);
  errno = saved_errno;
}

void replace(Listeners& listeners, std::unique_ptr<const Inboxes> inboxes) {
  const std::unique_ptr<const Inboxes> old(listeners.inboxes.exchange(inboxes.release()));
  // A handler of this thread has returned by the time we run; those of others are a few instructions long.
  while (handlers_running.load() != 0) std::this_thread::yield();
}

}  // namespace

Result<void> listen_to_signal(int signal, SignalInbox& inbox) {
  if (signal <= 0 || signal >= kSignals) {
    return Error::invalid("signal " + std::to_string(signal) + ": there is no such signal");
  }
  const std::lock_guard lock(registry_mutex);
  Listeners& listeners = all_listeners[static_cast<std::size_t>(signal)];
  const Inboxes* old = listeners.inboxes.load();
  auto inboxes = old != nullptr ? std::make_unique<Inboxes>(*old) : std::make_unique<Inboxes>();
  inboxes->push_back(&inbox);
  const bool first = old == nullptr;
  replace(listeners, std::move(inboxes));
  if (!first) return {};
  struct sigaction action {};
  action.sa_handler = handle_signal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  if (::sigaction(signal, &action, &listeners.previous) != 0) {
    const int error = errno;
    replace(listeners, nullptr);
    return Error::from_errno(error, "sigaction(" + std::to_string(signal) + ")");
  }
  return {};
}

void stop_listening_to_signal(int signal, SignalInbox& inbox) {
  const std::lock_guard lock(registry_mutex);
  Listeners& listeners = all_listeners[static_cast<std::size_t>(signal)];
  const Inboxes* old = listeners.inboxes.load();
  if (old == nullptr) return;
  auto inboxes = std::make_unique<Inboxes>(*old);
  std::erase(*inboxes, &inbox);
  if (inboxes->empty()) {
    ::sigaction(signal, &listeners.previous, nullptr);
    inboxes.reset();
  }
  replace(listeners, std::move(inboxes));
}

}  // namespace assay::internal
