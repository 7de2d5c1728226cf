#include "assay/mocks/sim_kernel.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "assay/mocks/sim/descriptor.h"
#include "assay/mocks/sim/world.h"

namespace assay {

namespace {

std::string spelled(const SimOptions& options) {
  if (!options.name.empty()) return options.name;
  std::string name = "sim:" + options.profile.name;
  if (options.live) name += ",live";
  if (options.real_clock && !options.live) name += ",real-clock";
  if (options.strict) name += ",strict";
  if (options.seed != 0) name += ",seed=" + std::to_string(options.seed);
  return name;
}

}  // namespace

class SimKernel::State {
 public:
  explicit State(const SimOptions& options) : world(options), name(spelled(options)) {}

  internal::SimWorld world;
  const std::string name;
};

SimKernel::SimKernel(SimOptions options) : state_(std::make_unique<State>(options)) {}
SimKernel::~SimKernel() = default;

int SimKernel::first_own_fd() { return internal::fd_floor(); }
const Profile& SimKernel::profile() const noexcept { return state_->world.profile(); }
std::string SimKernel::name() const { return state_->name; }
std::string SimKernel::describe_waiting() const { return state_->world.describe_waiting(); }

int SimKernel::setup(unsigned entries, io_uring_params* params) {
  if (profile().semantics.calls_absent) return -ENOSYS;
  return state_->world.setup(entries, params);
}

int SimKernel::enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
                     std::size_t arg_bytes) {
  if (profile().semantics.calls_absent) return -ENOSYS;
  return state_->world.enter(ring_fd, to_submit, min_complete, flags, arg, arg_bytes);
}

int SimKernel::register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) {
  if (profile().semantics.calls_absent) return -ENOSYS;
  return state_->world.register_op(ring_fd, opcode, arg, nr_args);
}

int SimKernel::map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) {
  return state_->world.map(ring_fd, offset, bytes, address);
}

int SimKernel::unmap(void* address, std::size_t bytes) { return ::munmap(address, bytes) == 0 ? 0 : -errno; }

int SimKernel::close(int ring_fd) { return state_->world.close(ring_fd); }

int SimKernel::now(clockid_t clock, timespec* time) { return state_->world.now(clock, time); }

int SimKernel::wait_readable(int ring_fd, const timespec* timeout) {
  return state_->world.wait_readable(ring_fd, timeout);
}

void SimKernel::relax(int ring_fd) { state_->world.relax(ring_fd); }

}  // namespace assay
