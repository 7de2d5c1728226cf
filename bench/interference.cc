#include "assay/bench/interference.h"

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <cstdlib>
#include <ctime>

namespace assay::bench {
namespace {

using std::chrono::nanoseconds;

// More than this part of the time in other threads of the process: they are no strangers.
constexpr double kOwnThreads = 0.02;

nanoseconds clock_of(clockid_t id) noexcept {
  timespec time{};
  ::clock_gettime(id, &time);
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

}  // namespace

Interference::Interference() : fd_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {
  char first = 0;
  if (fd_ >= 0 && ::pread(fd_, &first, 1, 0) == 1) return;
  unavailable_ = "no /proc/thread-self/schedstat, so what others did to this machine is in the figures";
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Interference::~Interference() {
  if (fd_ >= 0) ::close(fd_);
}

Interference::Account Interference::account() const noexcept {
  Account account;
  // First: it makes the kernel bring its account of this thread up to date, which is otherwise as of the last tick.
  account.process_cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
  std::array<char, 96> text{};
  if (fd_ >= 0 && ::pread(fd_, text.data(), text.size() - 1, 0) > 0) {
    char* end = nullptr;
    account.thread_cpu = nanoseconds(std::strtoll(text.data(), &end, 10));
    account.waited = nanoseconds(std::strtoll(end, nullptr, 10));
  }
  return account;
}

// The clock is read outside of the accounts, so that whoever is interrupted between the two looks slower, not faster.
void Interference::start() noexcept {
  began_ = clock_of(CLOCK_MONOTONIC);
  begin_ = account();
}

double Interference::stop() noexcept {
  const Account end = account();
  wall_ = clock_of(CLOCK_MONOTONIC) - began_;
  if (fd_ < 0 || wall_ <= nanoseconds(0)) return 0;
  const auto wall = static_cast<double>(wall_.count());
  const auto others = (end.process_cpu - begin_.process_cpu) - (end.thread_cpu - begin_.thread_cpu);
  if (static_cast<double>(others.count()) > kOwnThreads * wall) return 0;
  return static_cast<double>((end.waited - begin_.waited).count()) / wall;
}

}  // namespace assay::bench
