#include "assay/backend/liburing/process_kernel.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "assay/backend/liburing/use_kernel.h"
#include "assay/backend/uapi.h"
#include "assay/faultinject/kernel_stack.h"

namespace assay::liburing {
namespace {

// A kernel in use, and what keeps it alive: a stack of ours, or a table of the caller's.
struct InUse {
  Kernel* kernel = nullptr;
  std::unique_ptr<KernelStack> stack;
  std::unique_ptr<CKernel> foreign;
  assay_kernel table{};
  std::string replay;
};

// All of it lives as long as the process: rings may be used by other threads, and by destructors, while it exits.
struct Process {
  std::mutex mutex;
  std::atomic<Kernel*> kernel{nullptr};
  InUse in_use;
  // Guarded apart: closing any fd asks for it, also while a kernel is made or goes away.
  std::mutex open_rings_mutex;
  std::set<int> open_rings;
  std::atomic<std::uint64_t> rings{0};
};

Process& process() {
  static auto* const instance = new Process;
  return *instance;
}

thread_local std::string last_error;

const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

std::string text_or_environment(const char* text, const char* name, const char* otherwise) {
  if (text != nullptr) return text;
  const char* value = environment(name);
  return value != nullptr ? value : otherwise;
}

Result<std::uint64_t> parse_seed(std::string_view text) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return Error::from_errno(EINVAL, "ASSAY_SEED: '" + std::string(text) + "' is no number from 0 to 2^64-1");
  }
  return seed;
}

std::string replay_of(const KernelStack& stack) {
  std::string replay = "ASSAY_KERNEL=" + stack.name();
  if (!stack.plan().empty()) replay += " ASSAY_PLAN='" + format_fault_plan(stack.plan()) + "'";
  return replay;
}

Result<InUse> open_stack(const assay_liburing_options& wanted) {
  KernelStackOptions options;
  options.kernel = text_or_environment(wanted.kernel, "ASSAY_KERNEL", "linux");
  options.plan = text_or_environment(wanted.plan, "ASSAY_PLAN", "");
  options.trace = text_or_environment(wanted.trace, "ASSAY_TRACE", "");
  if (wanted.has_seed != 0) {
    options.seed = wanted.seed;
  } else if (const char* text = environment("ASSAY_SEED"); text != nullptr) {
    Result<std::uint64_t> seed = parse_seed(text);
    if (!seed) return seed.error();
    options.seed = *seed;
  }
  Result<std::unique_ptr<KernelStack>> stack = open_kernel_stack(options);
  if (!stack) return stack.error();
  InUse opened;
  opened.stack = std::move(*stack);
  opened.kernel = &opened.stack->top();
  opened.replay = replay_of(*opened.stack);
  return opened;
}

// Rings that the program closed unseen (by dup2, by close(2) where that is not wrapped) are not open.
std::size_t count_open_rings(Process& here) {
  const std::lock_guard lock(here.open_rings_mutex);
  std::erase_if(here.open_rings, [](int fd) { return ::fcntl(fd, F_GETFD) < 0; });
  return here.open_rings.size();
}

int refuse(int error, std::string why) {
  last_error = std::move(why);
  return -error;
}

// The caller holds the mutex.
int take(Process& here, InUse&& chosen) {
  here.in_use = std::move(chosen);
  here.in_use.table = c_table_of(*here.in_use.kernel);
  here.rings = 0;
  here.kernel.store(here.in_use.kernel, std::memory_order_release);
  last_error.clear();
  return 0;
}

int check_idle(Process& here) {
  const std::size_t open = count_open_rings(here);
  return open == 0
             ? 0
             : refuse(EBUSY, "rings of the kernel in use are open (" + std::to_string(open) + "); exit them first");
}

std::uint64_t faults_fired(const InUse& in_use) { return in_use.stack != nullptr ? in_use.stack->report().fired() : 0; }

// ASSAY_REPORT names a file that is told at exit what became of the run; "-" is standard error.
void report_at_exit() {
  const char* name = environment("ASSAY_REPORT");
  if (name == nullptr) return;
  Process& here = process();
  const std::lock_guard lock(here.mutex);
  const std::string line = "assay: " + here.in_use.replay + ": " + std::to_string(here.rings) + " rings, " +
                           std::to_string(faults_fired(here.in_use)) + " faults fired\n";
  if (std::string_view(name) == "-") {
    std::cerr << line;
    return;
  }
  std::ofstream(name, std::ios::app) << line;
}

// The caller holds the mutex, and nobody chose yet.
void choose_by_environment(Process& here) {
  Result<InUse> opened = open_stack({});
  if (!opened) {
    std::fprintf(stderr, "assay::liburing: %s\n", opened.error().message().c_str());
    ::_exit(2);
  }
  if (environment("ASSAY_REPORT") != nullptr) std::atexit(report_at_exit);
  take(here, std::move(*opened));
}

}  // namespace

Kernel& process_kernel() noexcept {
  Process& here = process();
  if (Kernel* kernel = here.kernel.load(std::memory_order_acquire); kernel != nullptr) return *kernel;
  const std::lock_guard lock(here.mutex);
  if (here.in_use.kernel == nullptr) choose_by_environment(here);
  return *here.in_use.kernel;
}

int set_up_ring(unsigned entries, io_uring_params* params) noexcept {
  const int fd = process_kernel().setup(entries, params);
  if (fd < 0) return fd;
  Process& here = process();
  ++here.rings;
  // Without an fd of its own there is nothing that could be asked for whether it is open.
  if ((params->flags & uapi::kSetupRegisteredFdOnly) == 0) {
    const std::lock_guard lock(here.open_rings_mutex);
    here.open_rings.insert(fd);
  }
  return fd;
}

int close_ring(int ring_fd) noexcept {
  Process& here = process();
  {
    const std::lock_guard lock(here.open_rings_mutex);
    here.open_rings.erase(ring_fd);
  }
  return process_kernel().close(ring_fd);
}

bool is_open_ring(int ring_fd) noexcept {
  Process& here = process();
  if (here.rings.load(std::memory_order_relaxed) == 0) return false;
  const std::lock_guard lock(here.open_rings_mutex);
  return here.open_rings.contains(ring_fd);
}

int use_kernel(Kernel& kernel) {
  Process& here = process();
  const std::lock_guard lock(here.mutex);
  if (const int error = check_idle(here); error != 0) return error;
  InUse chosen;
  chosen.kernel = &kernel;
  chosen.replay = "(" + kernel.name() + ")";
  return take(here, std::move(chosen));
}

}  // namespace assay::liburing

using assay::liburing::check_idle;
using assay::liburing::process;

int assay_liburing_use(const char* kernel, const char* plan) {
  const assay_liburing_options options{.kernel = kernel, .plan = plan};
  return assay_liburing_use_options(&options);
}

int assay_liburing_use_options(const assay_liburing_options* options) {
  auto& here = process();
  const std::lock_guard lock(here.mutex);
  if (const int error = check_idle(here); error != 0) return error;
  auto opened = assay::liburing::open_stack(options != nullptr ? *options : assay_liburing_options{});
  if (!opened) return assay::liburing::refuse(EINVAL, opened.error().message());
  return take(here, std::move(*opened));
}

int assay_liburing_use_table(const assay_kernel* kernel) {
  auto& here = process();
  const std::lock_guard lock(here.mutex);
  if (const int error = check_idle(here); error != 0) return error;
  assay::liburing::InUse chosen;
  chosen.foreign = std::make_unique<assay::CKernel>(*kernel);
  chosen.kernel = chosen.foreign.get();
  chosen.replay = "(a kernel of the program's own)";
  return take(here, std::move(chosen));
}

const char* assay_liburing_error() { return assay::liburing::last_error.c_str(); }

const assay_kernel* assay_liburing_kernel() {
  assay::liburing::process_kernel();
  return &process().in_use.table;
}

assay_liburing_report assay_liburing_get_report() {
  auto& here = process();
  const std::lock_guard lock(here.mutex);
  return {
      .rings = here.rings, .fired = assay::liburing::faults_fired(here.in_use), .replay = here.in_use.replay.c_str()};
}
