#pragma once

#include <sys/mman.h>

#include <functional>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>

namespace assay::conformance {

/// How a child process ended: empty when it exited with 0, else in words.
std::string run_child(const std::function<void()>& body);

/// Runs `body` in a process of its own, which may give up rights, memory and system calls that it never gets back, and
/// returns what it put into the report. A child that does not end within 30 s, or crashes, fails the test.
///
/// The child must not use GoogleTest: what it finds it reports, and the test judges.
template <class Report>
Report in_child(const std::function<void(Report&)>& body, std::string& ending) {
  static_assert(std::is_trivially_copyable_v<Report>, "the report crosses from one process to another as bytes");
  void* shared = ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    ending = "no memory to share with a child";
    return {};
  }
  auto* report = new (shared) Report{};
  ending = run_child([&] { body(*report); });
  const Report copy = *report;
  ::munmap(shared, sizeof(Report));
  return copy;
}

/// The first line of a file below /proc or /sys, without its newline; empty where there is none.
std::string read_setting(const std::string& path);
/// Writes `value` into such a file; 0 or a negative errno.
int write_setting(const std::string& path, std::string_view value);

/// Changes a setting, and puts back what was there at the end of its scope.
class ScopedSetting {
 public:
  ScopedSetting(std::string path, std::string_view value);
  ScopedSetting(const ScopedSetting&) = delete;
  ScopedSetting& operator=(const ScopedSetting&) = delete;
  ~ScopedSetting();

  /// 0, or why it could not be changed, as a negative errno.
  int error() const noexcept { return error_; }

 private:
  std::string path_;
  std::string before_;
  int error_;
};

}  // namespace assay::conformance
