#include "assay/bench/instruction_counts.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif
#include <sys/utsname.h>
#include <algorithm>
#include <cstdio>
#include <string>

#include <nlohmann/json.hpp>

#include "assay/bench/runner.h"

namespace assay::bench {

#if !__has_include(<valgrind/callgrind.h>)

int count_instructions(const std::vector<const Bench*>& /*benches*/) {
  std::fprintf(stderr, "assay-bench: --instructions: built without valgrind/callgrind.h (Debian's package valgrind)\n");
  return 2;
}

#else

namespace {

// In the slower run of the two. So many that what happens once in a while (a table that grows, an index that wraps) is
// spread; callgrind takes a microsecond for a dozen instructions.
constexpr std::uint64_t kOperations = 512;
constexpr std::uint64_t kLeastRounds = 8;

void print(const nlohmann::json& line) { std::printf("%s\n", line.dump().c_str()); }

void print_what_was_built() {
  utsname machine{};
  ::uname(&machine);
#if defined(__clang__)
  const std::string compiler = "clang++ " __clang_version__;
#else
  const std::string compiler = "g++ " __VERSION__;
#endif
  print({{"compiler", compiler}, {"machine", machine.machine}, {"liburing", ASSAY_LIBURING_VERSION}});
}

}  // namespace

int count_instructions(const std::vector<const Bench*>& benches) {
  if (RUNNING_ON_VALGRIND == 0) {
    std::fprintf(stderr,
                 "assay-bench: --instructions: nothing counts here; ci/instructions runs this below valgrind\n");
    return 2;
  }
  print_what_was_built();
  CALLGRIND_START_INSTRUMENTATION;
  unsigned number = 0;
  for (const Bench* bench : benches) {
    if (bench->times_itself) continue;
    const std::string name = bench->name.text();
    const std::uint64_t rounds = std::max(kLeastRounds, kOperations / std::max(1U, bench->name.size));
    const auto path = set_up(*bench, rounds);
    if (!path) {
      print({{"name", name}, {"left_out", path.error().message()}});
      continue;
    }
    const std::string once = std::to_string(++number) + " once";
    const std::string twice = std::to_string(number) + " twice";
    CALLGRIND_ZERO_STATS;
    const Ran few = (*path)->run(rounds);
    CALLGRIND_DUMP_STATS_AT(once.c_str());
    const Ran many = (*path)->run(2 * rounds);
    CALLGRIND_DUMP_STATS_AT(twice.c_str());
    print({{"number", number}, {"name", name}, {"operations", many.operations - few.operations}});
  }
  CALLGRIND_STOP_INSTRUMENTATION;
  return 0;
}

#endif

}  // namespace assay::bench
