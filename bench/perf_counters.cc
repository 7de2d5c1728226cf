#include "assay/bench/perf_counters.h"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstring>

namespace assay::bench {

PerfCounters::PerfCounters() {
  cycles_ = open(PERF_COUNT_HW_CPU_CYCLES, -1);
  if (cycles_ < 0 && (errno == EACCES || errno == EPERM)) {
    user_only_ = true;
    cycles_ = open(PERF_COUNT_HW_CPU_CYCLES, -1);
  }
  if (cycles_ >= 0) instructions_ = open(PERF_COUNT_HW_INSTRUCTIONS, cycles_);
  if (instructions_ >= 0) return;
  const int error = errno;
  const char* reason = std::strerror(error);
  if (error == ENOENT || error == EOPNOTSUPP || error == ENODEV) reason = "this (virtual) processor offers none";
  if (error == EACCES || error == EPERM) reason = "the sysctl kernel.perf_event_paranoid or a filter forbids them";
  if (error == ENOSYS) reason = "the kernel was built without them";
  unavailable_ = std::string("no perf events, so cycles and instructions are left out: ") + reason;
}

PerfCounters::~PerfCounters() {
  if (instructions_ >= 0) ::close(instructions_);
  if (cycles_ >= 0) ::close(cycles_);
}

int PerfCounters::open(std::uint64_t event, int group) noexcept {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.config = event;
  attributes.disabled = group < 0 ? 1 : 0;
  attributes.exclude_kernel = user_only_ ? 1 : 0;
  attributes.exclude_hv = 1;
  attributes.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  return static_cast<int>(::syscall(SYS_perf_event_open, &attributes, 0, -1, group, PERF_FLAG_FD_CLOEXEC));
}

void PerfCounters::start() noexcept {
  if (instructions_ < 0) return;
  ::ioctl(cycles_, PERF_EVENT_IOC_RESET, PERF_IOC_FLAG_GROUP);
  ::ioctl(cycles_, PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP);
}

std::optional<PerfCounters::Counts> PerfCounters::stop() noexcept {
  if (instructions_ < 0) return std::nullopt;
  ::ioctl(cycles_, PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP);
  // How many there are, the time they were wanted, the time they ran, and the two.
  std::array<std::uint64_t, 5> values{};
  if (::read(cycles_, values.data(), sizeof values) != sizeof values || values[2] == 0) return std::nullopt;
  const double scale = static_cast<double>(values[1]) / static_cast<double>(values[2]);
  return Counts{.cycles = static_cast<std::uint64_t>(static_cast<double>(values[3]) * scale),
                .instructions = static_cast<std::uint64_t>(static_cast<double>(values[4]) * scale)};
}

}  // namespace assay::bench
