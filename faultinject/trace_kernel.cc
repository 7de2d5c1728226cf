#include "assay/faultinject/trace_kernel.h"

#include <algorithm>

#include "assay/backend/uapi_names.h"

namespace assay {
namespace {

const char* clock_name(clockid_t clock) {
  switch (clock) {
    case CLOCK_MONOTONIC:
      return "MONOTONIC";
    case CLOCK_BOOTTIME:
      return "BOOTTIME";
    case CLOCK_REALTIME:
      return "REALTIME";
    default:
      return "unknown";
  }
}

std::string ring_text(int ring_fd) { return " ring=" + std::to_string(ring_fd); }

}  // namespace

TraceKernel::TraceKernel(Kernel& base, std::ostream& out) : base_(base), out_(out) {}

std::string TraceKernel::new_sqes(TraceRing& ring, unsigned to_submit) {
  if (!ring.sq_visible()) return {};
  const std::uint32_t tail = ring.sq_tail();
  std::uint32_t first = ring.sq_head();
  std::uint32_t count = std::min(to_submit, tail - first);
  if (ring.sqpoll()) {
    // The poll thread takes SQEs at its own time; each is written at the first call that finds it.
    first = ring.sq_seen;
    count = tail - first;
    ring.sq_seen = tail;
  }
  std::string text;
  for (std::uint32_t position = first; position != first + count; ++position) {
    const io_uring_sqe* sqe = ring.sqe_at(position);
    text += "  sqe " + std::to_string(position) + " ";
    text += sqe != nullptr ? trace_sqe(*sqe, names_) : "index out of range";
    text += "\n";
  }
  return text;
}

std::string TraceKernel::new_cqes(TraceRing& ring) {
  if (!ring.cq_visible()) return {};
  const std::uint32_t tail = ring.cq_tail();
  std::uint32_t position = ring.cq_seen;
  std::string text;
  if (tail - position > ring.cq_entries()) {
    // Posted, reaped and overwritten between two calls.
    const std::uint32_t kept = tail - ring.cq_entries();
    text +=
        "  cqes " + std::to_string(position) + " to " + std::to_string(kept - 1) + " were gone before they were seen\n";
    position = kept;
  }
  for (; position != tail; ++position) {
    const io_uring_cqe& cqe = *ring.cqe_at(position);
    text += "  cqe " + std::to_string(position) + " " + trace_cqe(cqe, names_) + "\n";
    // In a CQ of mixed sizes (6.18) a large entry takes two places.
    const bool large = (ring.setup_flags() & uapi::kSetupCqeMixed) != 0 && (cqe.flags & uapi::kCqeF32) != 0;
    if (large && position + 1 != tail) ++position;
  }
  ring.cq_seen = tail;
  return text;
}

void TraceKernel::begin(const std::string& call, TraceRing* ring, unsigned to_submit) {
  const std::lock_guard lock(mutex_);
  std::string text = call + "\n";
  if (ring != nullptr) text += new_cqes(*ring) + new_sqes(*ring, to_submit);
  out_ << text << std::flush;
}

int TraceKernel::end(int result, TraceRing* ring) {
  const std::lock_guard lock(mutex_);
  std::string text = "  = " + trace_result(result) + "\n";
  if (ring != nullptr) text += new_cqes(*ring);
  out_ << text << std::flush;
  return result;
}

int TraceKernel::setup(unsigned entries, io_uring_params* params) {
  std::string call = "setup entries=" + std::to_string(entries);
  if (params != nullptr) call += " flags=" + uapi_flags(UapiClass::kSetupFlag, params->flags);
  if (params != nullptr && (params->flags & IORING_SETUP_CQSIZE) != 0)
    call += " cq_entries=" + std::to_string(params->cq_entries);
  begin(call, nullptr, 0);
  const int result = base_.setup(entries, params);
  end(result, nullptr);
  if (result < 0) return result;
  rings_.was_set_up(result, *params);
  const std::lock_guard lock(mutex_);
  out_ << "  sq_entries=" << params->sq_entries << " cq_entries=" << params->cq_entries
       << " features=" << uapi_flags(UapiClass::kFeature, params->features) << "\n"
       << std::flush;
  return result;
}

int TraceKernel::enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
                       std::size_t arg_bytes) {
  const auto ring = rings_.find(ring_fd, (flags & IORING_ENTER_REGISTERED_RING) != 0);
  std::string call = "enter" + ring_text(ring_fd) + " to_submit=" + std::to_string(to_submit) +
                     " min_complete=" + std::to_string(min_complete) +
                     " flags=" + uapi_flags(UapiClass::kEnterFlag, flags);
  if (const std::string words = trace_enter_arg(flags, arg, arg_bytes); !words.empty()) call += " " + words;
  begin(call, ring.get(), to_submit);
  return end(base_.enter(ring_fd, to_submit, min_complete, flags, arg, arg_bytes), ring.get());
}

int TraceKernel::register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) {
  const bool by_index = (opcode & uapi::kRegisterUseRegisteredRing) != 0;
  const auto ring = rings_.find(ring_fd, by_index);
  std::string call = "register" + ring_text(ring_fd) +
                     " op=" + uapi_name(UapiClass::kRegisterOp, opcode & ~uapi::kRegisterUseRegisteredRing) +
                     " nr_args=" + std::to_string(nr_args);
  if (by_index) call += " flags=USE_REGISTERED_RING";
  begin(call, ring.get(), 0);
  const int result = base_.register_op(ring_fd, opcode, arg, nr_args);
  rings_.was_registered(ring_fd, opcode, arg, nr_args, result);
  return end(result, ring.get());
}

int TraceKernel::map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) {
  begin("map" + ring_text(ring_fd) + " offset=" + trace_offset(offset) + " bytes=" + std::to_string(bytes), nullptr, 0);
  const int result = base_.map(ring_fd, offset, bytes, address);
  if (result == 0) rings_.was_mapped(ring_fd, offset, *address);
  return end(result, nullptr);
}

int TraceKernel::unmap(void* address, std::size_t bytes) {
  begin("unmap bytes=" + std::to_string(bytes), nullptr, 0);
  // Forgotten first: once the memory is given back, another thread may be given the same address.
  rings_.was_unmapped(address);
  return end(base_.unmap(address, bytes), nullptr);
}

int TraceKernel::close(int ring_fd) {
  begin("close" + ring_text(ring_fd), nullptr, 0);
  rings_.was_closed(ring_fd);
  return end(base_.close(ring_fd), nullptr);
}

int TraceKernel::now(clockid_t clock, timespec* time) {
  begin(std::string("now ") + clock_name(clock), nullptr, 0);
  return end(base_.now(clock, time), nullptr);
}

int TraceKernel::wait_readable(int ring_fd, const timespec* timeout) {
  const auto ring = rings_.find(ring_fd, false);
  begin("wait_readable" + ring_text(ring_fd) + " timeout=" + trace_time(timeout), ring.get(), 0);
  return end(base_.wait_readable(ring_fd, timeout), ring.get());
}

void TraceKernel::relax(int ring_fd) {
  const auto ring = rings_.find(ring_fd, false);
  base_.relax(ring_fd);
  if (ring == nullptr) return;
  const std::lock_guard lock(mutex_);
  if (const std::string cqes = new_cqes(*ring); !cqes.empty()) {
    out_ << "relax" << ring_text(ring_fd) << "\n" << cqes << std::flush;
  }
}

}  // namespace assay
