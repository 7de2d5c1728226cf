#include "assay/bench/runner.h"

#include <sys/utsname.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <utility>

#include "assay/bench/call_counter.h"
#include "assay/bench/fitted_rounds.h"
#include "assay/bench/setup.h"

namespace assay::bench {
namespace {

using std::chrono::duration;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

/// Operations that are done at a time, about: a program enters its loop once and not for each of them.
constexpr unsigned kOperationsAtATime = 256;

volatile std::sig_atomic_t interrupted = 0;
// What keeps the figures when something goes wrong: the running Runner's.
std::function<void(const std::string&)> keep_figures;
// While a path is set up nothing is measured yet, and what cannot be is left out.
bool setting_up = false;

/// What `give_up` throws then.
class NotSetUp : public std::exception {
 public:
  explicit NotSetUp(Error error) : error_(std::move(error)) {}
  const Error& error() const noexcept { return error_; }

 private:
  Error error_;
};

std::uint64_t rounds_at_a_time(const Bench& bench) {
  if (bench.rounds_at_a_time != 0) return bench.rounds_at_a_time;
  return std::max(1U, kOperationsAtATime / std::max(1U, bench.name.size));
}

/// What the processor calls itself, or nothing where /proc/cpuinfo does not say (on Arm).
std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

/// Benches with the same key, in the order in which the first of each comes.
template <typename Key>
std::vector<std::vector<const Bench*>> grouped(const std::vector<const Bench*>& benches, Key key) {
  std::vector<std::vector<const Bench*>> groups;
  std::map<std::string, std::size_t> places;
  for (const Bench* bench : benches) {
    const auto [place, is_new] = places.try_emplace(key(*bench), groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(bench);
  }
  return groups;
}

/// All that is compared with each other, setups of the same size next to each other.
std::vector<std::vector<const Bench*>> works_of(const std::vector<const Bench*>& benches) {
  auto works = grouped(benches, [](const Bench& bench) { return bench.name.chapter + "/" + bench.name.work; });
  for (auto& work : works) {
    std::ranges::stable_sort(work, {}, [](const Bench* bench) { return bench->name.size; });
  }
  return works;
}
std::vector<std::vector<const Bench*>> rows_of(const std::vector<const Bench*>& work) {
  return grouped(work, [](const Bench& bench) { return bench.name.row(); });
}

}  // namespace

Result<std::unique_ptr<Path>> set_up(const Bench& bench, std::uint64_t rounds) {
  setting_up = true;
  Result<std::unique_ptr<Path>> path = [&]() -> Result<std::unique_ptr<Path>> {
    try {
      auto made = bench.make();
      // Some kernels refuse the first request rather than the ring.
      if (made) (*made)->run(rounds);
      return made;
    } catch (const NotSetUp& not_set_up) {
      return not_set_up.error();
    } catch (const std::exception& error) {
      return Error::invalid(error.what());
    }
  }();
  setting_up = false;
  return path;
}

void give_up(const std::string& what, int error) {
  const std::string line = what + ": " + std::strerror(error < 0 ? -error : error);
  if (setting_up) throw NotSetUp(Error::from_errno(error, what));
  std::fprintf(stderr, "\nassay-bench: %s\n", line.c_str());
  // Once: keeping may itself go wrong.
  if (const auto keep = std::exchange(keep_figures, nullptr)) keep(line);
  // Without destructors: a path that is not in order is not taken down in order.
  std::fflush(nullptr);
  ::_exit(1);
}

void give_up(const char* what, int error) { give_up(std::string(what), error); }

/// Takes what Google Benchmark reports of each repetition, and puts back in place what one call for each of them hides.
class Runner::Collector final : public benchmark::BenchmarkReporter {
 public:
  Collector(Runner& runner, std::vector<Measured>& row, std::int64_t repetition)
      : runner_(runner), row_(row), repetition_(repetition) {}

  bool ReportContext(const Context& /*context*/) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (Run run : runs) {
      if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
      const auto found = std::ranges::find(row_, run.run_name.function_name,
                                           [](const Measured& each) { return each.bench->name.text(); });
      if (found == row_.end()) continue;
      Measured& measured = *found;
      run.run_name = {};
      run.run_name.function_name = measured.bench->name.text();
      run.family_index = measured.family;
      run.per_family_instance_index = 0;
      run.repetition_index = repetition_;
      run.repetitions = runner_.options_.repetitions;
      if (const auto rate = run.counters.find("items_per_second"); rate != run.counters.end()) {
        const double operations = rate->second.value * run.real_accumulated_time;
        if (!measured.bench->times_itself) run.counters["cpu_ns_per_op"] = 1e9 * run.cpu_accumulated_time / operations;
      }
      for (const auto& [name, value] : measured.counters) run.counters[name] = value;
      if (!measured.bench->times_itself) {
        measured.iterations =
            fitted_rounds(measured.iterations, duration<double>(run.real_accumulated_time), runner_.options_.min_time);
      }
      runner_.runs_.push_back(std::move(run));
    }
  }

 private:
  Runner& runner_;
  std::vector<Measured>& row_;
  std::int64_t repetition_;
};

int Runner::run(const std::vector<const Bench*>& benches, std::span<const std::string> left_out) {
  const auto previous = std::signal(SIGINT, [](int) { interrupted = 1; });
  started_ = steady_clock::now();
  all_ = benches.size() * (options_.repetitions + 1);
  keep_figures = [this](const std::string& line) {
    note("stopped: " + line);
    write_json();
  };
  if (auto ring = Ring::create(LinuxKernel::instance()); !ring) io_uring_ = ring.error();
  for (const std::string& line : left_out) note(line);
  for (const std::string& line : {perf_.unavailable(), interference_.unavailable()}) {
    if (!line.empty()) note(line);
  }
  std::map<const Bench*, std::int64_t> families;
  for (const Bench* bench : benches) families.emplace(bench, std::ssize(families));
  for (const std::vector<const Bench*>& work : works_of(benches)) {
    std::vector<std::vector<Measured>> measured;
    for (const std::vector<const Bench*>& row : rows_of(work)) {
      measured.emplace_back();
      for (const Bench* bench : row) {
        show(bench->name.row());
        Measured next{.bench = bench, .family = families[bench]};
        if (interrupted == 0 && prepare(next)) {
          count_system_calls(next);
          ++done_;
          measured.back().push_back(std::move(next));
        } else {
          done_ += options_.repetitions + 1;
        }
      }
    }
    for (unsigned repetition = 0; repetition < options_.repetitions; ++repetition) {
      for (std::vector<Measured>& row : measured) measure_row(row, repetition);
    }
  }
  if (interrupted != 0) note("interrupted: what was measured until then is there");
  keep_figures = nullptr;
  if (options_.show_progress) std::fputs("\r\033[K", stderr);
  std::signal(SIGINT, previous);
  return write_json() ? 0 : 1;
}

void Runner::note(const std::string& line) {
  if (std::find(notes_.begin(), notes_.end(), line) != notes_.end()) return;
  notes_.push_back(line);
  if (options_.show_progress) std::fputs("\r\033[K", stderr);
  std::fprintf(stderr, "assay-bench: %s\n", line.c_str());
}

void Runner::leave_out(const Bench& bench, const Error& error) {
  // Who has no io_uring is told so once, and not by each who would have used it.
  const bool by_io_uring = io_uring_ && error.code == io_uring_->code;
  const std::string reason = by_io_uring ? "io_uring is not available here: " + io_uring_->message() : error.message();
  LeftOut& left_out = left_out_[reason];
  if (!left_out.names.insert(bench.name.text()).second || left_out.names.size() != 1) return;
  left_out.first = bench.name.text();
  left_out.note = notes_.size();
  note(reason + "; left out: " + left_out.first + " …");
}

bool Runner::prepare(Measured& measured) {
  const Bench& bench = *measured.bench;
  // So many rounds that the loop's own cost and the clock's are nothing beside them.
  std::uint64_t rounds = rounds_at_a_time(bench);
  const std::uint64_t step = rounds;
  auto path = set_up(bench, step);
  if (!path) {
    leave_out(bench, path.error());
    return false;
  }
  const auto target = nanoseconds(options_.min_time);
  for (;;) {
    const auto start = steady_clock::now();
    Ran ran{};
    for (std::uint64_t done = 0; done < rounds; done += step) {
      const Ran part = (*path)->run(step);
      ran.time += part.time;
    }
    const nanoseconds all = steady_clock::now() - start;
    const nanoseconds time = bench.times_itself ? ran.time : all;
    // What is not measured may last a multiple of what is, but not for ever.
    if (time >= target / 4 || all >= 2 * target) {
      measured.round_time = all / static_cast<std::int64_t>(rounds);
      const double scale = std::min(static_cast<double>(target.count()) / static_cast<double>(time.count() + 1),
                                    4.0 * static_cast<double>(target.count()) / static_cast<double>(all.count() + 1));
      const double wanted = static_cast<double>(rounds) * scale / static_cast<double>(step);
      measured.iterations =
          static_cast<benchmark::IterationCount>(std::max(1.0, wanted)) * static_cast<benchmark::IterationCount>(step);
      break;
    }
    rounds *= 4;
  }
  path->reset();
  return true;
}

void Runner::count_system_calls(Measured& measured) {
  if (!options_.count_calls) return;
  const Bench& bench = *measured.bench;
  // Every call is stopped at twice, so not for long.
  constexpr auto kLongest = std::chrono::milliseconds(100);
  const auto rounds = static_cast<std::uint64_t>(kLongest / std::max(measured.round_time, nanoseconds(1)));
  const Result<CallCounts> counts = count_calls(
      bench.name.text(), std::clamp<std::uint64_t>(rounds, 1, std::max<std::uint64_t>(8, rounds_at_a_time(bench))));
  if (!counts) {
    note(counts.error().message());
    if (counts.error() == std::errc::operation_not_permitted) options_.count_calls = false;
    return;
  }
  if (counts->operations == 0) return;
  measured.counters["calls_per_op"] = static_cast<double>(counts->calls) / static_cast<double>(counts->operations);
  if (counts->cqes != 0 && counts->enters != 0) {
    measured.counters["cqes_per_enter"] = static_cast<double>(counts->cqes) / static_cast<double>(counts->enters);
  }
}

void Runner::register_row(const std::vector<Measured>& row) {
  benchmark::ClearRegisteredBenchmarks();
  for (const Measured& measured : row) {
    const Bench& bench = *measured.bench;
    benchmark::internal::Benchmark* registered = benchmark::RegisterBenchmark(
        bench.name.text().c_str(), [this, &bench](benchmark::State& state) { measure(bench, state); });
    // Once, whatever BENCHMARK_REPETITIONS says: repetitions are the turns of all rows.
    registered->Iterations(measured.iterations)->Repetitions(1)->MeasureProcessCPUTime();
    if (bench.times_itself) {
      registered->UseManualTime();
    } else {
      registered->UseRealTime();
    }
  }
}

void Runner::measure_row(std::vector<Measured>& row, unsigned repetition) {
  if (row.empty() || interrupted != 0) return;
  show(row.front().bench->name.row());
  register_row(row);
  Collector collector(*this, row, repetition);
  benchmark::RunSpecifiedBenchmarks(&collector, ".");
  done_ += row.size();
}

void Runner::measure(const Bench& bench, benchmark::State& state) {
  const std::uint64_t step = rounds_at_a_time(bench);
  auto path = set_up(bench, step);
  if (!path) {
    leave_out(bench, path.error());
    state.SkipWithError("it could be set up before, and cannot any more");
    return;
  }
  Ran all{};
  interference_.start();
  perf_.start();
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(step))) {
    const Ran ran = (*path)->run(step);
    all.operations += ran.operations;
    all.time += ran.time;
    if (bench.times_itself) state.SetIterationTime(duration<double>(ran.time).count());
  }
  const auto counts = perf_.stop();
  // A path that measures by itself waits while nothing counts, which is no others' doing.
  const double others = bench.elsewhere || bench.times_itself ? 0 : interference_.stop();
  const duration<double, std::nano> time = bench.times_itself ? all.time : interference_.wall();
  state.counters["others_share"] = others;
  state.counters["ns_per_op"] = time.count() * (1 - others) / static_cast<double>(all.operations);
  state.SetItemsProcessed(static_cast<std::int64_t>(all.operations));
  if (counts && !bench.times_itself) {
    state.counters["cycles_per_op"] = static_cast<double>(counts->cycles) / static_cast<double>(all.operations);
    state.counters["instructions_per_op"] =
        static_cast<double>(counts->instructions) / static_cast<double>(all.operations);
  }
}

void Runner::show(const std::string& row) {
  if (!options_.show_progress) return;
  const auto now = steady_clock::now();
  if (now - shown_ < std::chrono::milliseconds(100)) return;
  shown_ = now;
  constexpr std::size_t kWidth = 30;
  const std::size_t filled = all_ == 0 ? kWidth : done_ * kWidth / all_;
  const double seconds = duration<double>(now - started_).count();
  const auto left =
      done_ == 0 ? 0L : static_cast<long>(seconds * static_cast<double>(all_ - done_) / static_cast<double>(done_));
  std::fprintf(stderr, "\r\033[K[%s%s] %3zu %%, %ld:%02ld left  %s", std::string(filled, '#').c_str(),
               std::string(kWidth - filled, ' ').c_str(), all_ == 0 ? 100 : done_ * 100 / all_, left / 60, left % 60,
               row.c_str());
}

void Runner::add_context() const {
  utsname machine{};
  ::uname(&machine);
  std::vector<std::string> lines = notes_;
  for (const auto& [reason, left_out] : left_out_) {
    lines[left_out.note] =
        reason + "; " + std::to_string(left_out.names.size()) + " left out, the first " + left_out.first;
  }
  std::string notes;
  for (const std::string& line : lines) notes += (notes.empty() ? "" : "\n") + line;
  benchmark::AddCustomContext("kernel", machine.release);
  benchmark::AddCustomContext("machine", machine.machine);
  benchmark::AddCustomContext("cpu", cpu_model());
  benchmark::AddCustomContext("liburing", ASSAY_LIBURING_VERSION);
  benchmark::AddCustomContext("assay", ASSAY_VERSION);
  benchmark::AddCustomContext("preset", options_.preset);
  benchmark::AddCustomContext("filters", options_.filters);
  benchmark::AddCustomContext("repetitions", std::to_string(options_.repetitions));
  benchmark::AddCustomContext("min_time_ms", std::to_string(options_.min_time.count()));
  benchmark::AddCustomContext("perf_events", perf_.unavailable().empty() ? perf_.scope() : "none");
  benchmark::AddCustomContext("notes", notes);
}

bool Runner::write_json() const {
  if (options_.json.empty()) return true;
  add_context();
  std::ofstream file(options_.json);
  benchmark::JSONReporter reporter;
  reporter.SetOutputStream(&file);
  reporter.SetErrorStream(&std::cerr);
  reporter.ReportContext(benchmark::BenchmarkReporter::Context());
  for (std::size_t i = 0; i < runs_.size(); ++i) reporter.ReportRuns({runs_[i]});
  reporter.Finalize();
  file.close();
  if (file) return true;
  std::fprintf(stderr, "assay-bench: cannot write '%s'\n", options_.json.c_str());
  return false;
}

int run_rounds(const Bench& bench, std::uint64_t rounds) {
  auto path = set_up(bench, rounds);
  if (!path) {
    std::fprintf(stderr, "assay-bench: %s: %s\n", bench.name.text().c_str(), path.error().message().c_str());
    return 1;
  }
  begin_counted_part();
  const Ran ran = (*path)->run(rounds);
  end_counted_part(ran.operations, ran.cqes);
  return 0;
}

}  // namespace assay::bench
