#include "assay/mocks/sim/ring.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "assay/backend/uapi_names.h"
#include "assay/mocks/sim/setup.h"

namespace assay::internal {

SimRing::SimRing(SimWorld& world, std::uint32_t setup_flags)
    : world_(world), setup_flags_(setup_flags), disabled_((setup_flags & IORING_SETUP_R_DISABLED) != 0) {}

SimRing::~SimRing() {
  if (poll_thread_) poll_thread_->detach(*this);
  closing_ = true;
  cancel_everything();
}

int SimRing::open(io_uring_params& params) {
  if (const int error = count_ring_memory(world_, params, locked_pages_); error != 0) return error;
  if (const int error = memory_.create(params, world_.semantics().cq_flags_word); error != 0) return error;
  ring_fd_ = Descriptor::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!ring_fd_) return -EMFILE;
  doorbell_ = Descriptor::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!doorbell_) return -EMFILE;
  epoll_event event{};
  event.events = EPOLLIN;
  if (::epoll_ctl(ring_fd_.get(), EPOLL_CTL_ADD, doorbell_.get(), &event) != 0) return -ENOMEM;
  provided_buffers_.set_rules({.oldest_first = world_.semantics().oldest_buffer_first,
                               .zero_is_all = world_.semantics().zero_length_is_all,
                               .rest_told = world_.semantics().incremental_rest_told});
  if (has_flag(IORING_SETUP_SQPOLL)) {
    const SimRing* group = has_flag(IORING_SETUP_ATTACH_WQ) ? world_.find(static_cast<int>(params.wq_fd)) : nullptr;
    poll_thread_ = group != nullptr ? group->poll_thread_ : std::make_shared<PollThread>(world_.clock());
    if (group == nullptr) poll_thread_->workers = WorkerLimits::initial(params.sq_entries);
    poll_thread_->attach(*this, Nanoseconds{params.sq_thread_idle != 0 ? params.sq_thread_idle : 1000} * 1'000'000);
  }
  if (!disabled_) become_issuer();
  return 0;
}

void SimRing::become_issuer() {
  if (has_flag(IORING_SETUP_SINGLE_ISSUER) && issuer_ == 0) issuer_ = ::gettid();
}

bool SimRing::issued_by_other() const { return issuer_ != 0 && issuer_ != ::gettid(); }

bool SimRing::post_message(const Completion& completion) {
  const bool kept = cq_.post(completion, nullptr);
  cq_changed_ = true;
  commit();
  return kept;
}

void SimRing::describe_waiting(std::string& text) const {
  const auto describe = [&](const Request& request, const char* reason) {
    text += uapi_name(UapiClass::kOpcode, request.opcode()) + " (user_data " + std::to_string(request.sqe().user_data) +
            ", fd " + std::to_string(request.sqe().fd) + ") on ring " + std::to_string(fd()) + " " + reason + "\n";
  };
  for (const auto& [when, request] : timers_) describe(*request, "waits for its time");
  const auto describe_all = [&](const RequestList& list, const char* reason) {
    for (const Request* request = list.first(); request != nullptr; request = list.after(request)) {
      describe(*request, reason);
    }
  };
  describe_all(armed_, "waits for its file");
  describe_all(revisited_, "waits for a child, a futex or the other end of a FIFO");
  describe_all(workers_, "waits for a worker");
  describe_all(task_work_, "has task work to run");
  describe_all(drained_, "is drained");
}

}  // namespace assay::internal
