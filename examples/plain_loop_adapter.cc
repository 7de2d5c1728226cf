#include "plain_loop_adapter.h"

#include <poll.h>

#include <deque>
#include <utility>

#include "plain_loop.h"

namespace assay::examples {
using namespace conformance;  // NOLINT: an adapter speaks its words throughout
namespace {

/// What stands between the suites' words and PlainLoop's: events that can be added and deleted, and a loop around the
/// turns. All the rest is the loop's own.
class PlainLoopUnderTest final : public BackendUnderTest {
 public:
  explicit PlainLoopUnderTest(PlainLoop loop) : loop_(std::move(loop)) {}

  Result<RunResult> run(RunMode mode) override {
    bool had_events = false;
    while (!loop_.idle() && !std::exchange(stop_, false)) {
      Result<unsigned> called = loop_.turn(mode != RunMode::kNonBlock);
      if (!called) return called.error();
      if (failure_.code) return std::exchange(failure_, {});
      had_events |= *called > 0;
      if (mode == RunMode::kNonBlock || (mode == RunMode::kOnce && *called > 0)) break;
    }
    stop_ = false;
    if (had_events) return RunResult::kHadEvents;
    return loop_.idle() ? RunResult::kNoEvents : RunResult::kNothingToDo;
  }

  Result<void> break_loop() override {
    stop_ = true;
    return {};
  }

  Result<EventId> make_fd_event(int fd, unsigned bits, EventCallback callback) override {
    return make({.fd = fd, .bits = bits, .callback = std::move(callback)});
  }
  Result<EventId> make_timer(EventCallback callback) override { return make({.callback = std::move(callback)}); }

  Result<void> add_event(EventId id, std::optional<std::chrono::nanoseconds> timeout) override {
    Event& event = at(id);
    event.added = true;
    if (event.fd >= 0) {
      if (timeout) return Error::from_errno(ENOTSUP, "an fd event with a timeout");
      return event.token != 0 ? Result<void>() : watch(event);
    }
    if (event.token != 0) loop_.forget(event.token);
    return started(event, loop_.after(*timeout, [&event](int) {
      event.added = false;
      event.token = 0;
      event.callback(kTimedOut);
    }));
  }

  Result<void> delete_event(EventId id) override {
    Event& event = at(id);
    if (event.token != 0) loop_.forget(std::exchange(event.token, 0));
    if (!std::exchange(event.added, false)) return Error::from_errno(ENOENT, "the event is not added");
    return {};
  }

  Result<OperationId> read(int fd, std::span<std::byte> buffer, std::uint64_t offset, OperationCallback done) override {
    return operation(loop_.read(fd, buffer, offset, std::move(done)));
  }
  Result<OperationId> write(int fd, std::span<const std::byte> buffer, std::uint64_t offset,
                            OperationCallback done) override {
    return operation(loop_.write(fd, buffer, offset, std::move(done)));
  }
  Result<OperationId> fsync(int fd, OperationCallback done) override {
    return operation(loop_.fsync(fd, std::move(done)));
  }

 private:
  struct Event {
    int fd = -1;
    unsigned bits = 0;
    EventCallback callback;
    bool added = false;
    PlainLoop::Token token = 0;  // 0 while nothing is in flight for it
  };

  Event& at(EventId id) { return events_[static_cast<std::size_t>(id)]; }

  Result<EventId> make(Event event) {
    events_.push_back(std::move(event));
    return EventId{events_.size() - 1};
  }

  Result<void> watch(Event& event) {
    const unsigned wanted =
        ((event.bits & kReadable) != 0 ? POLLIN : 0) | ((event.bits & kWritable) != 0 ? POLLOUT : 0);
    return started(event, loop_.watch(event.fd, wanted, [this, &event](int res) { ready(event, res); }));
  }

  void ready(Event& event, int res) {
    event.token = 0;
    // Whoever asked for either direction hears of errors and hang-ups; a refused poll counts as an error.
    const unsigned trouble = res < 0 ? POLLERR : res & (POLLERR | POLLHUP);
    unsigned bits = 0;
    if (trouble != 0 || (res & POLLIN) != 0) bits |= event.bits & kReadable;
    if (trouble != 0 || (res & POLLOUT) != 0) bits |= event.bits & kWritable;
    event.added = (event.bits & kPersist) != 0;
    event.callback(bits);
    // Armed again only now, when the callback had its chance to drain the file, or to delete the event.
    if (!event.added || event.token != 0) return;
    if (Result<void> again = watch(event); !again) failure_ = again.error();
  }

  static Result<void> started(Event& event, const Result<PlainLoop::Token>& token) {
    if (!token) return token.error();
    event.token = *token;
    return {};
  }

  static Result<OperationId> operation(const Result<PlainLoop::Token>& token) {
    if (!token) return token.error();
    return OperationId{*token};
  }

  PlainLoop loop_;
  std::deque<Event> events_;  // whose elements stay where they are
  bool stop_ = false;
  Error failure_;  // of arming an event again, where nobody else could be told
};

}  // namespace

BackendSubject plain_loop_subject() {
  return {.name = "plain_loop",
          .claims = {Capability::kBreak, Capability::kPromptTurns, Capability::kFdEvents,
                     Capability::kPersistentFdEvents, Capability::kTimers, Capability::kExactTimers,
                     Capability::kReadWrite, Capability::kPartialSubmissions, Capability::kInterruptions},
          .create = [](Kernel& kernel, const BackendSettings& settings) -> Result<std::unique_ptr<BackendUnderTest>> {
            Result<PlainLoop> loop = PlainLoop::create(kernel, settings.sq_entries);
            if (!loop) return loop.error();
            return std::unique_ptr<BackendUnderTest>(std::make_unique<PlainLoopUnderTest>(std::move(*loop)));
          }};
}

}  // namespace assay::examples
