// Copies a file tree through Assay's backend, on the kernel that is named, under the fault plan that is named. The copy
// is byte-identical whatever a kernel may answer, or it ends early and says so.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "assay/backend/backend.h"
#include "assay/examples/copy/tree_copy.h"
#include "assay/faultinject/kernel_stack.h"

namespace {

constexpr int kFailed = 1;
constexpr int kBadInput = 2;

int fail(int status, const std::string& line) {
  std::cerr << "copy: " << line << '\n';
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program("Copies SOURCE, a file or a tree, to DESTINATION, which must not exist, through io_uring.", "copy");
  assay::KernelStackOptions kernel_options;
  assay::examples::TreeCopyOptions copy_options;
  std::uint64_t seed = 0;
  std::string source;
  std::string destination;
  program.add_option("--kernel", kernel_options.kernel, "The kernel: linux, or sim:PROFILE (see `assay profiles`)")
      ->capture_default_str();
  program.add_option("--plan", kernel_options.plan, "Faults to inject, say enter/eintr:every=2 (see `assay faults`)");
  auto* seed_option = program.add_option("--seed", seed, "Seeds what a kernel or a plan may choose");
  program.add_option("--trace", kernel_options.trace, "Write every call, SQE and CQE to this file");
  program.add_option("--files", copy_options.files_in_flight, "Files that are copied at a time")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  program.add_flag("--sync", copy_options.sync, "fsync each file before it gets its name");
  program.add_option("SOURCE", source)->required();
  program.add_option("DESTINATION", destination)->required();
  program.footer(
      "Examples:\n"
      "  copy /usr/include /tmp/include\n"
      "  copy --kernel sim:linux-5.4 --plan enter/eintr:every=2,cqe/short:every=3:bytes=1000 tree copy-of-tree\n"
      "\n"
      "Exit status: 0 copied, 1 ended early, 2 bad input.");
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);
    return fail(kBadInput, error.what());
  }

  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(source, ignored))) {
    return fail(kBadInput, "there is no '" + source + "'");
  }
  if (std::filesystem::exists(std::filesystem::symlink_status(destination, ignored))) {
    return fail(kBadInput, "'" + destination + "' exists; name a destination that does not");
  }
  if (seed_option->count() != 0) kernel_options.seed = seed;
  auto kernel = assay::open_kernel_stack(kernel_options);
  if (!kernel)
    return fail(kernel.error() == std::errc::invalid_argument ? kBadInput : kFailed, kernel.error().message());

  auto backend = assay::Backend::create((*kernel)->top());
  if (!backend) return fail(kFailed, backend.error().message());
  const bool shows_progress = ::isatty(STDERR_FILENO) != 0;
  int status = 0;
  {
    assay::examples::TreeCopy copy(**backend, copy_options, [&](const assay::examples::TreeCopyTotals& totals) {
      if (shows_progress) std::fprintf(stderr, "\r%llu files", static_cast<unsigned long long>(totals.files));
    });
    auto totals = copy.run(source, destination);
    if (shows_progress) std::fputc('\n', stderr);
    if (totals) {
      std::cout << "copied " << totals->files << " files (" << totals->bytes << " bytes), " << totals->directories
                << " directories and " << totals->symlinks << " links on " << (*kernel)->name() << '\n';
    } else {
      status = fail(kFailed, "ended early: " + totals.error().message());
    }
    // Whatever is in flight refers to the copy, so the backend goes first.
    backend->reset();
  }
  std::cout << (*kernel)->report().text();
  return status;
}
