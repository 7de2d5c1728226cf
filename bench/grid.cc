#include "assay/bench/grid.h"

#include <algorithm>
#include <iterator>

namespace assay::bench {
namespace {

bool reads_or_writes(Work work) { return work == Work::kRead || work == Work::kReadDirect || work == Work::kWrite; }
bool receives(Work work) { return work == Work::kSocketpair || work == Work::kTcp; }

/// All that can be had at once.
Conveniences most_of(const GridCell& cell) {
  return {.ring_fd = !cell.has_poll_thread(),
          .file = reads_or_writes(cell.work) || receives(cell.work) || cell.work == Work::kPoll,
          .buffer = reads_or_writes(cell.work),
          .provided = receives(cell.work)};
}

bool has_all(const GridCell& cell) { return cell.with == most_of(cell); }

}  // namespace

std::string_view GridCell::work_name() const {
  switch (work) {
    case Work::kNop:
      return "nop";
    case Work::kRead:
      return "read";
    case Work::kReadDirect:
      return "read_direct";
    case Work::kWrite:
      return "write";
    case Work::kSocketpair:
      return "socketpair";
    case Work::kTcp:
      return "tcp";
    case Work::kPoll:
      return "poll";
    case Work::kTimeout:
      return "timeout";
    case Work::kCancel:
      return "cancel";
  }
  return {};
}

std::string GridCell::setup_name() const {
  constexpr std::string_view kNames[] = {"plain", "coop", "deferred", "sqpoll", "sqpoll_spin", "iopoll"};
  std::string name(kNames[static_cast<std::size_t>(mode)]);
  if (with.ring_fd) name += "+ringfd";
  if (with.file) name += "+file";
  if (with.buffer) name += "+buffer";
  if (with.provided) name += "+provided";
  return name;
}

RingChoice GridCell::ring() const {
  constexpr unsigned kFlags[] = {
      0, IORING_SETUP_COOP_TASKRUN, kDeferredRing.flags, IORING_SETUP_SQPOLL, IORING_SETUP_SQPOLL, IORING_SETUP_IOPOLL};
  return {.flags = kFlags[static_cast<std::size_t>(mode)], .register_ring_fd = with.ring_fd};
}

bool GridCell::quick() const {
  const bool bare = with.count() == 0;
  if (work == Work::kNop) return mode == Mode::kDeferred || (bare && mode != Mode::kCoop);
  if (work == Work::kRead) {
    return batch != 2 && ((mode == Mode::kDeferred && (bare || has_all(*this))) || (mode == Mode::kPlain && bare) ||
                          (mode == Mode::kSqpollSpin && has_all(*this)));
  }
  return (batch == 1 || batch == 32) && ((mode == Mode::kPlain && bare) || (mode == Mode::kDeferred && has_all(*this)));
}

const std::vector<Pruning>& prunings() {
  static const std::vector<Pruning> table = {
      {"NOPs and timeouts act on no file, and what is canceled is found by its user_data",
       [](const GridCell& cell) { return cell.with.file && !most_of(cell).file; }},
      {"only reads and writes take registered buffers on all kernels that have such",
       [](const GridCell& cell) { return cell.with.buffer && !most_of(cell).buffer; }},
      {"a provided buffer is for those who do not know yet whether anything will come: receivers",
       [](const GridCell& cell) { return cell.with.provided && !most_of(cell).provided; }},
      {"an IOPOLL ring takes only what its device can be polled for",
       [](const GridCell& cell) { return cell.mode == Mode::kIopoll && cell.work != Work::kReadDirect; }},
      {"with SQPOLL the poll thread enters the kernel",
       [](const GridCell& cell) { return cell.has_poll_thread() && cell.with.ring_fd; }},
      {"two conveniences of three tell no more than each of them and all",
       [](const GridCell& cell) { return cell.with.count() > 1 && !has_all(cell); }},
      {"what one convenience saves is told by plain and deferred rings",
       [](const GridCell& cell) {
         return cell.with.count() == 1 && !has_all(cell) && cell.mode != Mode::kPlain && cell.mode != Mode::kDeferred;
       }},
      {"what one convenience saves is told by batches of 1 and 32",
       [](const GridCell& cell) {
         return cell.with.count() == 1 && !has_all(cell) && cell.batch != 1 && cell.batch != 32;
       }},
      {"COOP_TASKRUN does what it does without conveniences too",
       [](const GridCell& cell) { return cell.mode == Mode::kCoop && cell.with.count() != 0; }},
  };
  return table;
}

std::vector<GridCell> whole_grid() {
  std::vector<GridCell> cells;
  for (const Work work : {Work::kNop, Work::kRead, Work::kReadDirect, Work::kWrite, Work::kSocketpair, Work::kTcp,
                          Work::kPoll, Work::kTimeout, Work::kCancel}) {
    for (const Mode mode :
         {Mode::kPlain, Mode::kCoop, Mode::kDeferred, Mode::kSqpoll, Mode::kSqpollSpin, Mode::kIopoll}) {
      for (unsigned registered = 0; registered < 4; ++registered) {
        for (const auto& [buffer, provided] :
             {std::pair(false, false), std::pair(true, false), std::pair(false, true)}) {
          const Conveniences with = {
              .ring_fd = (registered & 1) != 0, .file = (registered & 2) != 0, .buffer = buffer, .provided = provided};
          for (const unsigned batch : kBatches) cells.push_back({work, mode, with, batch});
        }
      }
    }
  }
  return cells;
}

std::vector<GridCell> grid() {
  std::vector<GridCell> kept;
  const std::vector<GridCell> cells = whole_grid();
  std::copy_if(cells.begin(), cells.end(), std::back_inserter(kept), [](const GridCell& cell) {
    return std::none_of(prunings().begin(), prunings().end(),
                        [&cell](const Pruning& pruning) { return pruning.applies(cell); });
  });
  return kept;
}

}  // namespace assay::bench
