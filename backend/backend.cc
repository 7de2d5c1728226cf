#if defined(__GNUC__) && !defined(__clang__)
// A backend lies in memory of the global operator new, and its own operator delete gives that back by the global one.
// GCC takes the two for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

#include "assay/backend/backend.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "assay/backend/kernel_support.h"
#include "assay/backend/ring_setup.h"
#include "assay/backend/submit_errors.h"

namespace assay {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

}  // namespace

namespace internal {

Attachment::Attachment(Backend& backend)
    : backend_(&backend), place_(static_cast<std::uint32_t>(backend.attachments_.size())) {
  backend.attachments_.push_back(this);
}

Attachment::~Attachment() {
  if (backend_ != nullptr) detach();
}

void Attachment::detach() noexcept {
  std::vector<Attachment*>& all = backend_->attachments_;
  all[place_] = all.back();
  all[place_]->place_ = place_;
  all.pop_back();
  backend_ = nullptr;
}

}  // namespace internal

Result<std::unique_ptr<Backend>> Backend::create(Kernel& kernel, const BackendOptions& options) {
  Result<internal::RingSetup> setup = internal::set_up_ring(kernel, options);
  if (!setup) return setup.error();
  Result<int> event_fd = internal::WakeUp::create_eventfd();
  if (!event_fd) return event_fd.error();
  // The global operator, since the class's own delete is not for a constructor that throws.
  std::unique_ptr<Backend> backend(::new Backend(kernel, options, std::move(setup).value(), *event_fd));
  if (options.initial_provided_buffers.count != 0) {
    Result<BufferPool> pool = BufferPool::create(*backend, options.initial_provided_buffers);
    if (!pool) return pool.error();
    backend->provided_buffers_ = *std::move(pool);
    if (const std::string& reason = backend->provided_buffers_->reason(); !reason.empty())
      backend->unmet_options_.push_back("initial_provided_buffers: " + reason);
  }
  return backend;
}

Backend::Backend(Kernel& kernel, const BackendOptions& options, internal::RingSetup setup, int event_fd)
    : Operations(requests_, timers_),
      kernel_(kernel),
      options_(options),
      unmet_options_(std::move(setup.unmet)),
      requests_(std::move(setup.ring), options.max_submit),
      sq_group_place_(std::move(setup.place)),
      registered_files_(requests_, options.registered_fds),
      wake_up_(requests_, event_fd),
      signals_(wake_up_) {
  if (options.batch_timeout > 0ns) requests_.wait_for_batches(options.batch_size, options.batch_timeout);
  if (options.poll_sq_immediate_io && (ring().setup_flags() & IORING_SETUP_SQPOLL) != 0) requests_.submit_at_once();
  // A ring takes files before it is enabled, and before its thread is known.
  registered_files_.set_up(ring());
  report_unmet("registered_fds", registered_files_.problem());
}

Result<void> Backend::available(Kernel& kernel) {
  const auto found = ways(kernel);
  return found ? Result<void>() : Result<void>(found.error());
}

Result<std::vector<KernelWay>> Backend::ways(Kernel& kernel) {
  // The ring is needed even where the answers are known: what was possible once may be forbidden since.
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 1});
  if (!ring) return ring.error();
  return internal::ways_taken(internal::find_kernel_support(*ring));
}

bool Backend::is_unavailable(const Error& error) {
  return error == std::errc::function_not_supported || error == std::errc::operation_not_permitted;
}

// The loop.

Result<LoopStatus> Backend::loop(LoopMode mode) {
  if (running_) return Error::from_errno(EBUSY, "loop: it is running already");
  if (auto started = start(); !started) return started.error();
  running_ = true;
  told_ = 0;
  if (nesting_.in_use()) {
    nesting_.take_back();
    wake_up_.sleep_here();
  }
  std::optional<Error> error;
  for (;;) {
    fd_events_.begin_turn();
    fd_events_.arm();
    if (break_requested_.load(std::memory_order_relaxed)) break;
    // What woke an outer loop may be the loop's own, and has to be used up all the same.
    const bool must_look = mode == LoopMode::kForever || (mode == LoopMode::kNonblock && nesting_.in_use());
    if (!must_look && !is_alive()) break;
    const bool woken = run_turn(mode != LoopMode::kNonblock, error);
    if (ended_) {
      running_ = false;
      delete this;
      return LoopStatus::kNoEvents;
    }
    if (error || mode == LoopMode::kNonblock) break;
    if (mode == LoopMode::kOnce && (told_ != 0 || woken)) break;
  }
  // Returning is what was asked for; the next run is another one.
  if (break_requested_.load(std::memory_order_relaxed)) break_requested_.store(false);
  running_ = false;
  now_is_fresh_ = false;
  if (nesting_.in_use()) hand_over();
  if (error) return *std::move(error);
  if (told_ != 0) return LoopStatus::kHadEvents;
  return is_alive() ? LoopStatus::kNothingToDo : LoopStatus::kNoEvents;
}

// Nobody waits in this loop from here on, so what it would wait for has to reach the descriptor.
void Backend::hand_over() {
  bool look = !fd_events_.look_again();
  fd_events_.arm();
  nesting_.arm_timeout(timers_.empty() ? std::nullopt : std::optional(timers_.next_expire()));
  look = requests_.submit() < 0 || look;
  wake_up_.sleep_elsewhere(nesting_.fd());
  look = !nesting_.hand_over() || look;
  look = !wake_up_.fall_asleep() || look;
  // Asked last: what comes later signals the descriptor by itself.
  const bool unsubmitted = (ring().setup_flags() & IORING_SETUP_SQPOLL) == 0 && ring().sq_ready() != 0;
  if (look || unsubmitted || ring().cq_overflow_count() != dropped_ || requests_.has_completed() ||
      requests_.has_next_turn() || ring().cq_needs_enter() || has_posted_.load() || signals_.any()) {
    nesting_.signal();
  }
}

Result<int> Backend::pollable_fd() {
  if (auto started = start(); !started) return started.error();
  const bool nested_already = nesting_.in_use();
  if (auto begun = nesting_.begin(); !begun) return begun.error();
  if (!running_ && !nested_already) hand_over();
  return nesting_.fd();
}

// What is put off to the first run, since only then the loop's thread is known.
Result<void> Backend::start() {
  const bool bound = options_.register_ring_fd || (ring().setup_flags() & IORING_SETUP_SINGLE_ISSUER) != 0;
  if (started_) {
    if (bound && loop_thread_ != std::this_thread::get_id()) {
      return Error::from_errno(EEXIST, "loop: the ring belongs to the thread of the first run");
    }
    return {};
  }
  if (auto ready = make_ready(ring()); !ready) return ready;
  started_ = true;
  loop_thread_ = std::this_thread::get_id();
  requests_.allow_entering();
  return {};
}

// What a ring needs of the thread that it belongs to.
Result<void> Backend::make_ready(Ring& ring) {
  if ((ring.setup_flags() & IORING_SETUP_R_DISABLED) != 0) {
    if (const int enabled = ring.enable(); enabled < 0)
      return Error::from_errno(enabled, "IORING_REGISTER_ENABLE_RINGS");
  }
  if (options_.register_ring_fd && !ring.ring_fd_registered()) {
    if (const int registered = ring.register_ring_fd(); registered < 0) {
      unmet_options_.push_back("register_ring_fd: IORING_REGISTER_RING_FDS (since 5.18): " +
                               Error::from_errno(registered).message());
    }
  }
  return {};
}

// What is said of an option: this line, or nothing any more when it is empty.
void Backend::report_unmet(std::string_view option, const std::string& line) {
  const auto is_of_option = [&](const std::string& said) {
    return said.size() > option.size() && said.compare(0, option.size(), option) == 0 && said[option.size()] == ':';
  };
  const auto said = std::find_if(unmet_options_.begin(), unmet_options_.end(), is_of_option);
  if (said != unmet_options_.end() && *said == line) return;
  if (said != unmet_options_.end()) unmet_options_.erase(said);
  if (!line.empty()) unmet_options_.push_back(line);
}

bool Backend::is_alive() {
  return requests_.alive() != 0 || fd_events_.size() != 0 || timers_.alive() != 0 || signals_.size() != 0 ||
         requests_.receives_messages() || has_posted_.load(std::memory_order_relaxed);
}

void Backend::loop_break() noexcept {
  break_requested_.store(true);
  wake_up_.wake();
}

Result<void> Backend::submit_outstanding() {
  if (!started_) return {};
  if (nesting_.in_use() && !running_) {
    hand_over();
    return {};
  }
  fd_events_.arm();
  const int answer = requests_.submit();
  if (answer >= 0) return {};
  switch (internal::judge_submit_error(answer)) {
    case internal::SubmitAnswer::kTryAgain:
    case internal::SubmitAnswer::kTimedOut:
    case internal::SubmitAnswer::kReap:
    case internal::SubmitAnswer::kBackOff:
      // All stays queued, and the next turn goes on with it.
      return {};
    case internal::SubmitAnswer::kDropped:
    case internal::SubmitAnswer::kReport:
      break;
  }
  return Error::from_errno(answer, std::string(internal::explain_submit_error(answer)));
}

void Backend::post(UniqueFunction<void()> function) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(function));
    has_posted_.store(true);
  }
  wake_up_.wake();
}

nanoseconds Backend::read_clock() noexcept {
  timespec time{};
  if (kernel_.now(CLOCK_MONOTONIC, &time) >= 0) {
    now_ = std::chrono::seconds{time.tv_sec} + nanoseconds{time.tv_nsec};
    now_is_fresh_ = true;
  }
  return now_;
}

Result<OperationHandle> Backend::submit_now(Operation& operation) {
  Result<OperationHandle> handle = requests_.queue(operation);
  if (!handle) return handle;
  if (auto submitted = submit_outstanding(); !submitted) return submitted.error();
  return handle;
}

BackendCounters Backend::counters() const noexcept {
  return {.requests = requests_.counters(),
          .turns = turns_,
          .interruptions = interruptions_,
          .refusals = refusals_,
          .overflows = overflows_,
          .recoveries = recoveries_,
          .lost = lost_,
          .restarted = restarted_,
          .readiness_checks = fd_events_.looks()};
}

}  // namespace assay
