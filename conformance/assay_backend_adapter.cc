#include "assay/conformance/assay_backend_adapter.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "assay/backend/backend.h"

namespace assay::conformance {
namespace {

/// A user's operation, as Backend wants it.
class UserOperation final : public Operation {
 public:
  UserOperation(Prepare prepare, OperationCallback done) : prepare_(std::move(prepare)), done_(std::move(done)) {}

 private:
  void prepare(io_uring_sqe& sqe) override { prepare_(sqe); }
  void complete(const assay::Completion& completion) override { done_(completion.res); }

  Prepare prepare_;
  OperationCallback done_;
};

class AssayBackendUnderTest final : public BackendUnderTest {
 public:
  AssayBackendUnderTest(std::unique_ptr<Backend> backend, std::unique_ptr<Backend> companion, bool registers_files)
      : registers_files_(registers_files), companion_(std::move(companion)), backend_(std::move(backend)) {}

  Backend& backend() { return *backend_; }

  Result<RunResult> run(RunMode mode) override {
    const Result<LoopStatus> status = backend_->loop(mode == RunMode::kOnce       ? LoopMode::kOnce
                                                     : mode == RunMode::kNonBlock ? LoopMode::kNonblock
                                                                                  : LoopMode::kUntilDone);
    if (!status) return status.error();
    switch (*status) {
      case LoopStatus::kHadEvents:
        return RunResult::kHadEvents;
      case LoopStatus::kNothingToDo:
        return RunResult::kNothingToDo;
      case LoopStatus::kNoEvents:
        break;
    }
    return RunResult::kNoEvents;
  }

  Result<void> break_loop() override {
    backend_->loop_break();
    return {};
  }

  Result<EventId> make_fd_event(int fd, unsigned bits, EventCallback callback) override {
    const FdInterest interest{
        .read = (bits & kReadable) != 0, .write = (bits & kWritable) != 0, .persistent = (bits & kPersist) != 0};
    return made(std::make_unique<FdEvent>(*backend_, fd, interest, [bits, callback](const Readiness& ready) {
      unsigned told = (ready.read ? kReadable : 0u) | (ready.write ? kWritable : 0u);
      if (ready.error != 0) told = bits & (kReadable | kWritable);
      callback(told | (ready.timed_out ? kTimedOut : 0u));
    }));
  }
  Result<EventId> make_timer(EventCallback callback) override {
    return made(std::make_unique<Timer>(*backend_, [callback] { callback(kTimedOut); }));
  }
  Result<EventId> make_signal(int signal, EventCallback callback) override {
    return made(std::make_unique<SignalEvent>(*backend_, signal, [callback](int) { callback(kSignalled); }));
  }

  Result<void> add_event(EventId id, std::optional<std::chrono::nanoseconds> timeout) override {
    Event& event = events_.at(static_cast<std::size_t>(id));
    if (auto* fd_event = std::get_if<std::unique_ptr<FdEvent>>(&event)) return (*fd_event)->add(timeout);
    if (auto* timer = std::get_if<std::unique_ptr<Timer>>(&event)) return (*timer)->start_after(timeout.value());
    return std::get<std::unique_ptr<SignalEvent>>(event)->add();
  }
  Result<void> delete_event(EventId id) override {
    Event& event = events_.at(static_cast<std::size_t>(id));
    if (auto* fd_event = std::get_if<std::unique_ptr<FdEvent>>(&event)) return (*fd_event)->remove();
    if (auto* timer = std::get_if<std::unique_ptr<Timer>>(&event)) return (*timer)->stop();
    return std::get<std::unique_ptr<SignalEvent>>(event)->remove();
  }

  Result<OperationId> read(int fd, std::span<std::byte> buffer, std::uint64_t offset, OperationCallback done) override {
    return started(backend_->read(*file_of(fd), buffer, offset, std::move(done)));
  }
  Result<OperationId> write(int fd, std::span<const std::byte> buffer, std::uint64_t offset,
                            OperationCallback done) override {
    return started(backend_->write(*file_of(fd), buffer, offset, std::move(done)));
  }
  Result<OperationId> readv(int fd, std::span<const iovec> buffers, std::uint64_t offset,
                            OperationCallback done) override {
    return started(backend_->readv(*file_of(fd), buffers, offset, std::move(done)));
  }
  Result<OperationId> writev(int fd, std::span<const iovec> buffers, std::uint64_t offset,
                             OperationCallback done) override {
    return started(backend_->writev(*file_of(fd), buffers, offset, std::move(done)));
  }
  Result<OperationId> fsync(int fd, OperationCallback done) override {
    return started(backend_->fsync(*file_of(fd), std::move(done)));
  }
  Result<OperationId> openat(int directory_fd, const std::string& path, int flags, mode_t mode,
                             OperationCallback done) override {
    return started(backend_->openat(directory_fd, path, flags, mode, std::move(done)));
  }
  Result<OperationId> close(int fd, OperationCallback done) override {
    return started(backend_->close(fd, std::move(done)));
  }

  Result<OperationId> make_operation(Prepare prepare, OperationCallback done) override {
    operations_.emplace_back(std::make_unique<UserOperation>(std::move(prepare), std::move(done)));
    return OperationId{operations_.size() - 1};
  }
  Result<void> submit(OperationId id) override {
    const Result<OperationHandle> handle = backend_->submit(user_operation(id));
    return handle ? Result<void>() : Result<void>(handle.error());
  }
  Result<void> submit_chain(std::span<const OperationId> ids) override {
    std::vector<Operation*> operations;
    for (const OperationId id : ids) operations.push_back(&user_operation(id));
    return backend_->submit_chain(operations);
  }
  Result<void> cancel(OperationId id) override {
    const auto& operation = operations_.at(static_cast<std::size_t>(id));
    if (const auto* handle = std::get_if<OperationHandle>(&operation)) return backend_->cancel(*handle);
    return backend_->cancel(user_operation(id));
  }

  Result<std::function<void()>> make_waker() override {
    return std::function<void()>([backend = backend_.get()] { backend->wake(); });
  }
  Result<void> post(std::function<void()> function) override {
    backend_->post(std::move(function));
    return {};
  }

 private:
  using Event = std::variant<std::unique_ptr<FdEvent>, std::unique_ptr<Timer>, std::unique_ptr<SignalEvent>>;

  /// The registered file where the options have it so, kept until the operation holds it itself. Of a bad descriptor
  /// the operation tells.
  HeldFile file_of(int fd) {
    if (registers_files_) {
      if (const Result<RegisteredFile> file = backend_->register_file(fd)) return HeldFile(*file);
    }
    return HeldFile(fd);
  }
  Result<EventId> made(Event event) {
    events_.push_back(std::move(event));
    return EventId{events_.size() - 1};
  }
  Result<OperationId> started(OperationHandle handle) {
    operations_.emplace_back(handle);
    return OperationId{operations_.size() - 1};
  }
  UserOperation& user_operation(OperationId id) {
    return *std::get<std::unique_ptr<UserOperation>>(operations_.at(static_cast<std::size_t>(id)));
  }

  bool registers_files_;
  std::unique_ptr<Backend> companion_;
  std::deque<Event> events_;
  std::deque<std::variant<OperationHandle, std::unique_ptr<UserOperation>>> operations_;
  // Last, so that it ends first, while everything that was added to it is still there: that is the harder way.
  std::unique_ptr<Backend> backend_;
};

}  // namespace

Backend& reference_backend(BackendScenario& scenario, const BackendSettings& settings) {
  return dynamic_cast<AssayBackendUnderTest&>(scenario.backend(settings)).backend();
}

BackendSubject assay_backend_subject(std::string name, const BackendOptions& options, OwnSizes own_sizes) {
  return {.name = std::move(name),
          .claims = CapabilitySet::all(),
          .create = [options, own_sizes](Kernel& kernel,
                                         const BackendSettings& settings) -> Result<std::unique_ptr<BackendUnderTest>> {
            BackendOptions used = options;
            const unsigned wanted_cq = settings.cq_entries != 0 ? settings.cq_entries : 2 * settings.sq_entries;
            used.sq_entries = own_sizes.sq != 0 ? own_sizes.sq : settings.sq_entries;
            used.capacity = own_sizes.cq != 0 ? own_sizes.cq : wanted_cq;
            used.max_submit = std::min(used.max_submit, settings.sq_entries);
            // A group of one ring would be none.
            std::unique_ptr<Backend> companion;
            if (!used.sq_group_name.empty()) {
              Result<std::unique_ptr<Backend>> first = Backend::create(kernel, used);
              if (!first) return first.error();
              companion = std::move(*first);
            }
            Result<std::unique_ptr<Backend>> backend = Backend::create(kernel, used);
            if (!backend) return backend.error();
            return std::unique_ptr<BackendUnderTest>(std::make_unique<AssayBackendUnderTest>(
                std::move(*backend), std::move(companion), used.registered_fds != 0));
          }};
}

}  // namespace assay::conformance
