// What assay::liburing costs in liburing's place: one source, linked with either, as programs beside this one.

#include <algorithm>
#include <string>

#include "assay/bench/block_file.h"
#include "assay/bench/co_process.h"
#include "assay/bench/harness.h"

namespace assay::bench {
namespace {

/// Operations that are ordered at a time, so that the order itself does not count: a few system calls and two switches
/// of processes.
constexpr unsigned kOperationsAtATime = 16'384;

class SubjectPath final : public Path {
 public:
  SubjectPath(std::unique_ptr<CoProcess> process, unsigned batch) : process_(std::move(process)), batch_(batch) {}

  Ran run(std::uint64_t rounds) override {
    const Result<SubjectAnswer> answer = process_->ask({.batch = batch_, .rounds = rounds});
    if (!answer) give_up(answer.error().detail, answer.error().code.value());
    return {.operations = answer->operations,
            .cqes = answer->operations,
            .time = std::chrono::nanoseconds(answer->nanoseconds)};
  }

 private:
  std::unique_ptr<CoProcess> process_;
  unsigned batch_;
};

Result<std::unique_ptr<Path>> start_subject(const std::string& program, const std::string& work,
                                            const std::string& setup, unsigned batch) {
  int file = -1;
  if (work == "read") {
    const Result<BlockFile*> shared = shared_block_file();
    if (!shared) return shared.error();
    file = (*shared)->fd();
  }
  auto process = CoProcess::start(program, {work, setup}, file);
  if (!process) return process.error();
  return std::unique_ptr<Path>(new SubjectPath(std::move(*process), batch));
}

}  // namespace

void add_drop_in(BenchList& list) {
  struct Program {
    const char* path;
    const char* name;
  };
  constexpr Program kPrograms[] = {{"liburing", "assay-bench-liburing"}, {"drop-in", "assay-bench-drop-in"}};
  const std::pair<const char*, std::string> works[] = {{"drop_in", "nop"}, {"drop_in_reads", "read"}};
  for (const auto& [work, subject_work] : works) {
    for (const std::string setup : {"plain", "deferred"}) {
      for (const unsigned batch : {1U, 8U, 32U, 128U}) {
        for (const Program& program : kPrograms) {
          const std::string name = program.name;
          list.add({.name = {.chapter = "harness",
                             .work = work,
                             .setup = setup,
                             .path = program.path,
                             .size_name = "batch",
                             .size = batch},
                    .quick = batch == 32,
                    .times_itself = true,
                    .elsewhere = true,
                    .rounds_at_a_time = kOperationsAtATime / batch,
                    .make = [=, work_of_subject = subject_work] {
                      return start_subject(name, work_of_subject, setup, batch);
                    }});
        }
      }
    }
  }
}

}  // namespace assay::bench
