#include "assay/backend/signal_source.h"

#include <algorithm>

#include "assay/backend/backend.h"

namespace assay {

SignalEvent::~SignalEvent() { (void)remove(); }

Result<void> SignalEvent::add() {
  if (added_) return {};
  if (backend() == nullptr) return Error::from_errno(ECANCELED, "SignalEvent::add: the backend is gone");
  if (auto added = backend()->signals_.add(*this); !added) return added;
  added_ = true;
  return {};
}

Result<void> SignalEvent::remove() {
  if (!added_) return Error::from_errno(ENOENT, "SignalEvent::remove: the event is not added");
  added_ = false;
  backend()->signals_.remove(*this);
  return {};
}

namespace internal {

SignalSource::~SignalSource() {
  for (int signal = 1; signal < kSignals; ++signal) {
    if (!events_[static_cast<std::size_t>(signal)].empty()) stop_listening_to_signal(signal, *this);
  }
}

Result<void> SignalSource::add(SignalEvent& event) {
  const int signal = event.signal();
  if (signal <= 0 || signal >= kSignals) {
    return Error::invalid("signal " + std::to_string(signal) + ": there is no such signal");
  }
  std::vector<SignalEvent*>& events = events_[static_cast<std::size_t>(signal)];
  if (events.empty()) {
    if (auto listening = listen_to_signal(signal, *this); !listening) return listening;
  }
  events.push_back(&event);
  ++size_;
  return {};
}

void SignalSource::remove(SignalEvent& event) {
  std::vector<SignalEvent*>& events = events_[static_cast<std::size_t>(event.signal())];
  if (std::erase(events, &event) == 0) return;
  --size_;
  if (!events.empty()) return;
  stop_listening_to_signal(event.signal(), *this);
  // What nobody waited for any more must not be told to whoever adds the next event.
  counts_[static_cast<std::size_t>(event.signal())].store(0);
}

bool SignalSource::listens(int signal, const SignalEvent* event) const {
  const std::vector<SignalEvent*>& events = events_[static_cast<std::size_t>(signal)];
  return std::find(events.begin(), events.end(), event) != events.end();
}

}  // namespace internal
}  // namespace assay
