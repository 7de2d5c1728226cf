#include <sched.h>
#include <sys/uio.h>

#include <array>
#include <cstring>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"

namespace assay::internal {
namespace {

/// The first bytes that IORING_REGISTER_QUERY takes and gives (6.18); liburing 2.3's header does not have them.
struct QueryHeader {
  std::uint64_t next_entry;
  std::uint64_t query_data;
  std::uint32_t query_op;
  std::uint32_t size;
  std::int32_t result;
  std::uint32_t reserved[3];
};
struct QueryOpcodes {
  std::uint32_t request_opcodes;
  std::uint32_t register_opcodes;
  std::uint64_t features;
  std::uint64_t setup_flags;
  std::uint64_t enter_flags;
  std::uint64_t sqe_flags;
  std::uint32_t query_opcodes;
  std::uint32_t pad;
};

/// Arguments that a kernel which has the registration does not answer with -EINVAL, and what they point to. All of it
/// is valid memory: a simulated kernel reads it without the protection that copy_from_user gives a real one.
struct Arguments {
  void* arg;
  unsigned nr_args;
};

class RegisterTrial {
 public:
  RegisterTrial(Kernel& kernel, int ring_fd) : kernel_(kernel), ring_fd_(ring_fd) {}

  Verdict run(std::uint32_t opcode) {
    switch (opcode) {
      case IORING_REGISTER_BUFFERS:
      case IORING_REGISTER_PERSONALITY:
        return answer(opcode, {nullptr, opcode == IORING_REGISTER_BUFFERS ? 1u : 0u});
      // Nothing is registered, so there is nothing to give back: -ENXIO. ENABLE_RINGS: the ring is enabled, -EBADFD.
      case IORING_UNREGISTER_BUFFERS:
      case IORING_UNREGISTER_FILES:
      case IORING_UNREGISTER_EVENTFD:
      case IORING_REGISTER_RESTRICTIONS:
      case IORING_REGISTER_ENABLE_RINGS:
      case IORING_UNREGISTER_IOWQ_AFF:
      case uapi::kRegisterQuery:
        return answer(opcode, {nullptr, 0});
      // The fd -1: an empty slot, or -EBADF.
      case IORING_REGISTER_FILES:
      case IORING_REGISTER_EVENTFD:
      case IORING_REGISTER_EVENTFD_ASYNC:
        return answer(opcode, {&no_fd_, 1});
      case IORING_REGISTER_PROBE:
        return answer(opcode, {zeros_.data(), 1});
      case IORING_UNREGISTER_PERSONALITY:
        return try_unregister_personality();
      case IORING_REGISTER_FILES_UPDATE:
      case IORING_REGISTER_FILES_UPDATE2:
      case IORING_REGISTER_BUFFERS_UPDATE:
        return try_update(opcode);
      case IORING_REGISTER_FILES2:
      case IORING_REGISTER_BUFFERS2:
        return try_register2(opcode);
      case IORING_REGISTER_IOWQ_AFF:
        return try_worker_affinity();
      case IORING_REGISTER_IOWQ_MAX_WORKERS:
        return answer(opcode, {zeros_.data(), 2});
      case IORING_REGISTER_RING_FDS:
        return try_ring_fds(opcode, ~0u, static_cast<std::uint64_t>(no_fd_));
      case IORING_UNREGISTER_RING_FDS:
        return try_ring_fds(opcode, 15, 0);
      case IORING_REGISTER_PBUF_RING:
        return try_buffer_ring();
      // Buffer group 0 does not exist: -ENOENT. The region of zero bytes is nowhere: -EFAULT.
      case IORING_UNREGISTER_PBUF_RING:
      case uapi::kRegisterPbufStatus:
      case uapi::kRegisterNapi:
      case uapi::kUnregisterNapi:
      case uapi::kRegisterMemRegion:
      case uapi::kRegisterZcrxIfq:
        return answer(opcode, {zeros_.data(), 1});
      case IORING_REGISTER_SYNC_CANCEL:
        return try_sync_cancel();
      case IORING_REGISTER_FILE_ALLOC_RANGE:
        return try_alloc_range();
      case uapi::kRegisterClock:
        return try_clock();
      case uapi::kRegisterCloneBuffers:
        return try_clone_buffers();
      case uapi::kRegisterSendMsgRing:
        return try_send_msg_ring();
      case uapi::kRegisterResizeRings:
        return try_resize();
      case uapi::kRegisterZcrxCtrl:
        return answer(opcode, {zeros_.data(), 0});
      default:
        return std::nullopt;
    }
  }

 private:
  Verdict answer(std::uint32_t opcode, Arguments arguments) {
    return known_unless_einval(kernel_.register_op(ring_fd_, opcode, arguments.arg, arguments.nr_args));
  }

  /// An unknown personality is answered with -EINVAL too, so one is made first.
  Verdict try_unregister_personality() {
    const int id = kernel_.register_op(ring_fd_, IORING_REGISTER_PERSONALITY, nullptr, 0);
    if (id < 0) return false;
    return answer(IORING_UNREGISTER_PERSONALITY, {nullptr, static_cast<unsigned>(id)});
  }

  /// No table is registered: -ENXIO.
  Verdict try_update(std::uint32_t opcode) {
    if (opcode == IORING_REGISTER_FILES_UPDATE) {
      io_uring_files_update update{};
      update.fds = reinterpret_cast<std::uintptr_t>(&no_fd_);
      return answer(opcode, {&update, 1});
    }
    io_uring_rsrc_update2 update{};
    update.data = reinterpret_cast<std::uintptr_t>(opcode == IORING_REGISTER_FILES_UPDATE2 ? static_cast<void*>(&no_fd_)
                                                                                           : &empty_buffer_);
    update.nr = 1;
    return answer(opcode, {&update, sizeof(update)});
  }

  Verdict try_register2(std::uint32_t opcode) {
    io_uring_rsrc_register table{};
    table.nr = 1;
    table.data = reinterpret_cast<std::uintptr_t>(opcode == IORING_REGISTER_FILES2 ? static_cast<void*>(&no_fd_)
                                                                                   : &empty_buffer_);
    return answer(opcode, {&table, sizeof(table)});
  }

  /// The CPUs that the thread has anyway. Affects the workers of this thread only, and it ends with the probe.
  Verdict try_worker_affinity() {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) return std::nullopt;
    return answer(IORING_REGISTER_IOWQ_AFF, {&cpus, sizeof(cpus)});
  }

  Verdict try_ring_fds(std::uint32_t opcode, std::uint32_t offset, std::uint64_t data) {
    io_uring_rsrc_update update{};
    update.offset = offset;
    update.data = data;
    return answer(opcode, {&update, 1});
  }

  /// A ring of one buffer that is nowhere: -EFAULT.
  Verdict try_buffer_ring() {
    io_uring_buf_reg buffers{};
    buffers.ring_entries = 1;
    return answer(IORING_REGISTER_PBUF_RING, {&buffers, 1});
  }

  /// Nobody has this user_data: -ENOENT.
  Verdict try_sync_cancel() {
    io_uring_sync_cancel_reg cancel{};
    cancel.addr = 77;
    cancel.fd = -1;
    cancel.timeout = {-1, -1};
    return answer(IORING_REGISTER_SYNC_CANCEL, {&cancel, 1});
  }

  /// A range whose end overflows: -EOVERFLOW. One outside the (absent) table would be -EINVAL.
  Verdict try_alloc_range() {
    io_uring_file_index_range range{};
    range.off = ~0u;
    range.len = 1;
    return answer(IORING_REGISTER_FILE_ALLOC_RANGE, {&range, 0});
  }

  Verdict try_clock() {
    std::array<std::uint32_t, 4> clock = {CLOCK_MONOTONIC, 0, 0, 0};
    return answer(uapi::kRegisterClock, {clock.data(), 0});
  }

  /// From the ring with the fd -1: -EBADF.
  Verdict try_clone_buffers() {
    std::array<std::uint32_t, 8> clone{};
    clone[0] = ~0u;
    return answer(uapi::kRegisterCloneBuffers, {clone.data(), 1});
  }

  /// The only registration that goes to no ring, but to the fd -1: a kernel that looks that up first says -EBADF, so
  /// only success counts. The message goes to the trial's ring.
  Verdict try_send_msg_ring() {
    io_uring_sqe sqe{};
    sqe.opcode = IORING_OP_MSG_RING;
    sqe.fd = ring_fd_;
    return kernel_.register_op(-1, uapi::kRegisterSendMsgRing, &sqe, 1) >= 0;
  }

  Verdict try_resize() {
    io_uring_params params{};
    params.sq_entries = 8;
    params.cq_entries = 16;
    return answer(uapi::kRegisterResizeRings, {&params, 1});
  }

  Kernel& kernel_;
  const int ring_fd_;
  int no_fd_ = -1;
  iovec empty_buffer_{};
  std::array<std::uint64_t, 64> zeros_{};
};

/// Some registrations are for rings of one kind only.
std::uint32_t ring_flags_for(std::uint32_t opcode, std::uint32_t known_setup_flags) {
  std::uint32_t flags = 0;
  if (opcode == uapi::kRegisterResizeRings || opcode == uapi::kRegisterZcrxIfq) {
    flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  }
  if (opcode == uapi::kRegisterZcrxIfq) flags |= IORING_SETUP_CQE32;
  return flags & known_setup_flags;
}

}  // namespace

std::optional<QueryAnswer> query_kernel(Kernel& kernel) {
  const TrialRing ring(kernel, 0);
  if (!ring) return std::nullopt;
  QueryOpcodes opcodes{};
  QueryHeader header{};
  header.query_data = reinterpret_cast<std::uintptr_t>(&opcodes);
  header.query_op = 0;  // IO_URING_QUERY_OPCODES
  header.size = sizeof(opcodes);
  const int answer = kernel.register_op(ring.fd(), uapi::kRegisterQuery, &header, 0);
  if (answer < 0 || header.result < 0 || opcodes.register_opcodes == 0) return std::nullopt;
  return QueryAnswer{opcodes.request_opcodes, opcodes.register_opcodes, opcodes.features,
                     opcodes.setup_flags,     opcodes.enter_flags,      opcodes.sqe_flags};
}

void probe_register_ops(Kernel& kernel, Profile& profile) {
  const std::optional<QueryAnswer> query = query_kernel(kernel);
  for (const NamedValue& opcode : uapi_table(UapiClass::kRegisterOp)) {
    const TrialRing ring(kernel, ring_flags_for(opcode.value, profile.setup_flags));
    Verdict verdict;
    if (ring) verdict = RegisterTrial(kernel, ring.fd()).run(opcode.value);
    // What no trial can tell, a kernel since 6.18 may: it says how many registrations it has.
    if (!verdict && query) verdict = opcode.value < query->register_ops;
    if (verdict.value_or(false)) profile.register_ops.set(opcode.value);
    if (!verdict) profile.assumed.push_back(bit_name(UapiClass::kRegisterOp, opcode));
  }
}

}  // namespace assay::internal
