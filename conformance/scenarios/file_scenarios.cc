// Files: written and read, copied, appended to with linked operations.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <string>
#include <vector>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/scenarios/scenarios.h"

namespace assay::conformance {
namespace {

constexpr std::size_t kBlock = 512;

// One of a user's own: what liburing's io_uring_prep_*() fills in.
class Prepared final : public Operation {
 public:
  Prepared(std::function<void(io_uring_sqe&)> prepare, ResultCallback done)
      : prepare_(std::move(prepare)), done_(std::move(done)) {}

 private:
  void prepare(io_uring_sqe& sqe) override { prepare_(sqe); }
  void complete(const Completion& completion) override { done_(completion.res); }

  std::function<void(io_uring_sqe&)> prepare_;
  ResultCallback done_;
};

void nops(ScenarioRun& run) {
  ScenarioLoop loop(run);
  if (!loop) return;
  std::deque<Prepared> operations;
  for (int i = 0; i < 8; ++i) {
    operations.emplace_back([](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); },
                            loop.answer("a NOP", [&](int res) { run.ended("a NOP", res); }));
    run.ended("submit", loop->submit(operations.back()));
  }
  loop.until_answered();
}

void write_and_read(ScenarioRun& run) {
  const Fd file = file_with("");
  const std::string text = numbered_text(3 * kBlock);
  ScenarioLoop loop(run);
  TransferResult transfer = loop.transfer(
      "write_all", [&](TransferCallback done) { loop->write_all(file.get(), bytes_of(text), 0, std::move(done)); });
  if (!loop || !run.ended("write_all", transfer.error)) return;
  std::string read(text.size(), '\0');
  transfer = loop.transfer(
      "read_all", [&](TransferCallback done) { loop->read_all(file.get(), room_in(read), 0, std::move(done)); });
  if (!run.ended("read_all", transfer.error)) return;
  if (transfer.bytes != text.size() && run.fired(FaultPointId::kCqeEof)) return;
  run.expect(transfer.bytes == text.size(), "read_all ends early, and no fault made the file end");
  run.expect(read == text, "what was read is not what was written");
}

// Blocks read and written with several in flight, each by the callback of the one before.
class Copy {
 public:
  Copy(ScenarioRun& run, ScenarioLoop& loop, int from, int to) : run_(run), loop_(loop), from_(from), to_(to) {}

  void start(std::size_t blocks) {
    blocks_.resize(blocks);
    for (std::size_t i = 0; i < blocks; ++i) read(i);
  }
  bool failed() const { return failed_; }

 private:
  void read(std::size_t block) {
    blocks_[block].resize(kBlock);
    Answer& answer = loop_.owe("read_all of block " + std::to_string(block));
    loop_->read_all(from_, room_in(blocks_[block]), block * kBlock, [this, block, &answer](TransferResult result) {
      ++answer.calls;
      if (!ended("read_all", result)) return;
      blocks_[block].resize(result.bytes);
      write(block);
    });
  }
  void write(std::size_t block) {
    Answer& answer = loop_.owe("write_all of block " + std::to_string(block));
    loop_->write_all(to_, bytes_of(blocks_[block]), block * kBlock, [this, &answer](TransferResult result) {
      ++answer.calls;
      ended("write_all", result);
    });
  }
  bool ended(std::string_view what, const TransferResult& result) {
    if (run_.ended(what, result.error)) return true;
    failed_ = true;
    return false;
  }

  ScenarioRun& run_;
  ScenarioLoop& loop_;
  int from_;
  int to_;
  std::deque<std::string> blocks_;
  bool failed_ = false;
};

void copy(ScenarioRun& run) {
  const std::string text = numbered_text(6 * kBlock - 17);
  const Fd from = file_with(text);
  const Fd to = file_with("");
  ScenarioLoop loop(run, {.capacity = 8, .max_submit = 4});
  if (!loop) return;
  Copy copy(run, loop, from.get(), to.get());
  copy.start(6);
  loop.until_answered();
  loop.destroy();
  if (copy.failed() || run.fired(FaultPointId::kCqeEof)) return;
  run.expect(text_in(to) == text, "the copy is not the original");
}

// Records that must be on disk before the next one: a write and the fsync that is linked to it.
void log_append(ScenarioRun& run) {
  const Fd file = file_with("");
  ScenarioLoop loop(run);
  std::string log;
  for (int record = 0; loop && record < 3; ++record) {
    const std::string text = "record " + std::to_string(record) + "\n";
    Answer& written = loop.owe("the write of a record");
    Answer& synced = loop.owe("its fsync");
    Prepared write(
        [&](io_uring_sqe& sqe) {
          io_uring_prep_write(&sqe, file.get(), text.data(), static_cast<unsigned>(text.size()), log.size());
        },
        loop.answer(written));
    Prepared sync([&](io_uring_sqe& sqe) { io_uring_prep_fsync(&sqe, file.get(), 0); }, loop.answer(synced));
    const std::array<Operation*, 2> chain = {&write, &sync};
    if (!run.ended("submit_chain", loop->submit_chain(chain))) return;
    if (!loop.until(written) || !loop.until(synced)) return;
    const bool is_short = written.res >= 0 && static_cast<std::size_t>(written.res) < text.size();
    // A chain of which a part is refused at submission is cancelled as a whole; so is one that recovery meets.
    const bool refused = (run.fired(FaultPointId::kCqeRefused) || run.allows(EBADR)) &&
                         (written.res == -ECANCELED || written.res == -EINVAL);
    if (is_short || written.res < 0) {
      run.expect(!is_short || run.fired(FaultPointId::kCqeShort), "the write is short, and no fault made it so");
      if (!is_short && !refused) run.ended("the write", written.res);
      // What was dropped nobody knows, and the fsync may have run before.
      run.expect(synced.res == -ECANCELED || run.allows(EBADR) ||
                     (run.fired(FaultPointId::kCqeRefused) && synced.res == -EINVAL),
                 "an fsync runs although the write that it is linked to failed");
      return;
    }
    if (!run.ended("fsync", synced.res)) return;
    log += text;
  }
  if (loop) run.expect(text_in(file) == log, "the log is not what was appended");
}

void vectored(ScenarioRun& run) {
  const std::string text = numbered_text(2 * kBlock);
  const Fd file = file_with("");
  ScenarioLoop loop(run);
  std::string first = text.substr(0, 100);
  std::string second = text.substr(100);
  std::array<iovec, 2> vectors = {iovec{first.data(), first.size()}, iovec{second.data(), second.size()}};
  const int written =
      loop.result_of("writev", [&](ResultCallback done) { loop->writev(file.get(), vectors, 0, std::move(done)); });
  if (!loop || (written < 0 && !run.ended("writev", written))) return;
  run.expect(static_cast<std::size_t>(written) == text.size() || run.fired(FaultPointId::kCqeShort),
             "writev is short, and no fault made it so");
  run.expect(text_in(file) == text.substr(0, static_cast<std::size_t>(written)), "writev wrote something else");
  std::string read_first(100, '\0');
  std::string read_second(text.size() - 100, '\0');
  vectors = {iovec{read_first.data(), read_first.size()}, iovec{read_second.data(), read_second.size()}};
  const int read =
      loop.result_of("readv", [&](ResultCallback done) { loop->readv(file.get(), vectors, 0, std::move(done)); });
  if (read < 0) {
    run.ended("readv", read);
    return;
  }
  run.expect((read_first + read_second).substr(0, static_cast<std::size_t>(read)) ==
                 text.substr(0, static_cast<std::size_t>(read)),
             "readv read something else");
}

// A file in a folder, from its creation to its end, by its names.
void names(ScenarioRun& run) {
  char folder[] = "/dev/shm/assay-scenario-XXXXXX";
  if (::mkdtemp(folder) == nullptr) return run.violated("no folder can be made");
  const std::string path = std::string(folder) + "/a";
  const std::string renamed = std::string(folder) + "/b";
  {
    ScenarioLoop loop(run);
    const int fd = loop.result_of("openat", [&](ResultCallback done) {
      loop->openat(AT_FDCWD, path, O_CREAT | O_RDWR | O_CLOEXEC, 0600, std::move(done));
    });
    if (loop && (fd >= 0 || run.ended("openat", fd))) {
      const TransferResult written = loop.transfer(
          "write_all", [&](TransferCallback done) { loop->write_all(fd, bytes_of("text"), 0, std::move(done)); });
      run.ended("write_all", written.error);
      struct statx status {};
      const int told = loop.result_of(
          "statx", [&](ResultCallback done) { loop->statx(AT_FDCWD, path, 0, STATX_SIZE, &status, std::move(done)); });
      if (run.ended("statx", told) && written.error == 0) run.expect(status.stx_size == 4, "statx tells another size");
      const int moved = loop.result_of("renameat", [&](ResultCallback done) {
        loop->renameat(AT_FDCWD, path, AT_FDCWD, renamed, 0, std::move(done));
      });
      if (run.ended("renameat", moved)) run.expect(::access(renamed.c_str(), F_OK) == 0, "it was not renamed");
      const int closed = loop.result_of("close", [&](ResultCallback done) { loop->close(fd, std::move(done)); });
      if (!run.ended("close", closed)) ::close(fd);
    }
  }
  ::unlink(path.c_str());
  ::unlink(renamed.c_str());
  ::rmdir(folder);
}

void broken_chain(ScenarioRun& run) {
  const Fd file = file_with("");
  ScenarioLoop loop(run);
  if (!loop) return;
  std::vector<Answer*> answers;
  std::deque<Prepared> operations;
  std::vector<Operation*> chain;
  // The second one fails, so what follows it must not run.
  const std::array<int, 4> fds = {file.get(), -1, file.get(), file.get()};
  for (std::size_t i = 0; i < fds.size(); ++i) {
    answers.push_back(&loop.owe("write " + std::to_string(i) + " of the chain"));
    operations.emplace_back(
        [fd = fds[i], i](io_uring_sqe& sqe) { io_uring_prep_write(&sqe, fd, &"abcd"[i], 1, static_cast<off_t>(i)); },
        loop.answer(*answers.back()));
    chain.push_back(&operations.back());
  }
  if (!run.ended("submit_chain", loop->submit_chain(chain)) || !loop.until_answered()) return;
  loop.destroy();
  if (answers[0]->res < 0) {
    // A chain of which a part is refused at submission is cancelled as a whole; before 5.18 a file that is none is. So
    // is one that recovery meets.
    const bool refused =
        run.fired(FaultPointId::kCqeRefused) || run.allows(EBADR) || !run.profile().semantics.linked_file_at_execution;
    if (!refused || answers[0]->res != -ECANCELED) run.ended("the first write", answers[0]->res);
    return;
  }
  run.expect(answers[1]->res < 0, "a write to no file succeeds");
  for (std::size_t i = 2; i < fds.size(); ++i) {
    if (answers[i]->res != -ECANCELED) run.ended("a write behind one that failed", answers[i]->res);
    run.expect(answers[i]->res < 0, "a write behind one that failed is carried out");
  }
  run.expect(text_in(file) == "a", "the file holds more than the first write's");
}

void spliced(ScenarioRun& run) {
  const std::string text = numbered_text(300);
  const Fd from = file_with(text);
  const Ends pipe = Ends::pipe();
  ScenarioLoop loop(run);
  std::size_t moved = 0;
  while (loop && moved < text.size()) {
    const int res = loop.result_of("splice", [&](ResultCallback done) {
      loop->splice(from.get(), moved, pipe.far(), kCurrentPosition, text.size() - moved, 0, std::move(done));
    });
    if (res < 0 && !run.ended("splice", res)) return;
    if (!run.expect(res > 0, "splice moves nothing, and nothing ended")) return;
    const auto bytes = static_cast<std::size_t>(res);
    run.expect(left_in(pipe.near(), bytes) == text.substr(moved, bytes), "splice moved something else, or less");
    moved += bytes;
  }
}

void registered(ScenarioRun& run) {
  const std::string text = numbered_text(kBlock);
  const Fd file = file_with("");
  ScenarioLoop loop(run, {.registered_fds = 4});
  if (!loop) return;
  {
    Result<RegisteredFile> held = loop->register_file(file.get());
    const File meant = held ? File(*held) : File(file.get());
    if (!held) run.ended("register_file", held);
    const TransferResult written = loop.transfer(
        "write_all", [&](TransferCallback done) { loop->write_all(meant, bytes_of(text), 0, std::move(done)); });
    if (!run.ended("write_all", written.error)) return;
    run.expect(text_in(file) == text, "what was written is something else");
  }
  // The slot is free again, and another file may have it.
  const Fd other = file_with("other");
  Result<RegisteredFile> held = loop->register_file(other.get());
  if (!held) {
    run.ended("register_file", held);
    return;
  }
  std::string read(5, '\0');
  const TransferResult got = loop.transfer(
      "read_all", [&](TransferCallback done) { loop->read_all(*held, room_in(read), 0, std::move(done)); });
  if (run.ended("read_all", got.error) && got.bytes == 5) run.expect(read == "other", "the slot holds another file");
}

}  // namespace

void internal::add_file_scenarios(std::vector<Scenario>& scenarios) {
  scenarios.push_back({"nops", "Eight NOPs in one batch, all answered.", nops});
  scenarios.push_back({"write-and-read", "A file is written whole and read back whole.", write_and_read});
  scenarios.push_back({"copy", "A file is copied in blocks, several in flight, more than the CQ has room for.", copy});
  scenarios.push_back(
      {"log-append", "Records are appended, each with an fsync that is linked to it.", log_append, {IORING_OP_WRITE}});
  scenarios.push_back({"vectored", "Several buffers are written by one request and read by another.", vectored});
  scenarios.push_back({"names", "A file is made, written, asked about, renamed and closed.", names});
  scenarios.push_back({"broken-chain",
                       "A link in the middle of a chain fails; what follows must not run.",
                       broken_chain,
                       {IORING_OP_WRITE}});
  scenarios.push_back({"splice", "A file goes through a pipe, piece by piece.", spliced});
  scenarios.push_back(
      {"registered-files", "Files are registered, used, given up, and their slots used again.", registered});
}

}  // namespace assay::conformance
