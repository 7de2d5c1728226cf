// Operations on files. Bodies take short results as they come, since any kernel may give them.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using C = Capability;

/// The offset that stands for the file's own position, which pipes have nothing else but.
std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }
std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
iovec vector_of(std::string& text) { return {.iov_base = text.data(), .iov_len = text.size()}; }

/// Letters that tell where they stand.
std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + (i * 7 + i / 26) % 26);
  return text;
}

/// A directory that is removed, with the one file in it, at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base == nullptr ? "/tmp" : base) + "/assay-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("cannot make a folder under " + path_);
    folder_ = Fd(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  ~TemporaryFolder() {
    ::unlinkat(folder_.get(), "file", 0);
    ::rmdir(path_.c_str());
  }
  int fd() const { return folder_.get(); }

 private:
  std::string path_;
  Fd folder_;
};

/// Starts an operation, waits for it, and returns its result.
template <typename Start>
int result_of(BackendScenario& s, const char* what, Start start) {
  Owed& owed = s.owe(what);
  must(start(owed.callback()));
  s.run_until(owed);
  return owed.res;
}

void expect_transfer(int res, std::size_t bytes) {
  EXPECT_GE(res, 1);
  EXPECT_LE(res, static_cast<int>(bytes));
}

void reads_at_an_offset(BackendScenario& s) {
  const std::string content = pattern(64);
  Fd file = make_file(content);
  std::string buffer(16, '-');
  const int res =
      result_of(s, "the read", [&](auto done) { return s.backend().read(file.get(), bytes_of(buffer), 20, done); });
  expect_transfer(res, 16);
  const auto got = static_cast<std::size_t>(std::max(res, 0));
  EXPECT_EQ(buffer.substr(0, got), content.substr(20, got));
  EXPECT_EQ(buffer.substr(got), std::string(16 - got, '-')) << "nothing beyond the result is written";
}

void reads_nothing_at_the_end_of_a_file(BackendScenario& s) {
  Fd file = make_file(pattern(10));
  std::string buffer(16, '-');
  EXPECT_EQ(
      result_of(s, "the read", [&](auto done) { return s.backend().read(file.get(), bytes_of(buffer), 10, done); }), 0);
  EXPECT_EQ(buffer, std::string(16, '-'));
}

void a_short_result_is_reported_as_it_is(BackendScenario& s) {
  Fd file = make_file(pattern(10));
  std::string buffer(64, '-');
  const int res =
      result_of(s, "the read", [&](auto done) { return s.backend().read(file.get(), bytes_of(buffer), 0, done); });
  expect_transfer(res, 10);
  EXPECT_EQ(buffer.substr(0, static_cast<std::size_t>(res)), pattern(10).substr(0, static_cast<std::size_t>(res)));
}

void writes_at_an_offset(BackendScenario& s) {
  Fd file = make_file(std::string(64, '-'));
  const std::string content = pattern(16);
  const int res =
      result_of(s, "the write", [&](auto done) { return s.backend().write(file.get(), bytes_of(content), 20, done); });
  expect_transfer(res, 16);
  std::string expected(64, '-');
  expected.replace(20, static_cast<std::size_t>(res), content, 0, static_cast<std::size_t>(res));
  EXPECT_EQ(file_content(file.get()), expected);
}

void readv_fills_its_buffers_in_order(BackendScenario& s) {
  const std::string content = pattern(64);
  Fd file = make_file(content);
  std::string one(5, '-'), two(7, '-'), three(4, '-');
  int res = 0;
  {
    // The array is the caller's only during the call.
    std::vector<iovec> buffers{vector_of(one), vector_of(two), vector_of(three)};
    Owed& owed = s.owe("the readv");
    must(s.backend().readv(file.get(), buffers, 3, owed.callback()));
    buffers.assign(3, iovec{});
    s.run_until(owed);
    res = owed.res;
  }
  expect_transfer(res, 16);
  const auto got = static_cast<std::size_t>(std::max(res, 0));
  EXPECT_EQ((one + two + three).substr(0, got), content.substr(3, got));
}

void writev_joins_its_buffers(BackendScenario& s) {
  Fd file = make_file(std::string(32, '-'));
  std::string one = "first", two = "second";
  int res = 0;
  {
    std::vector<iovec> buffers{vector_of(one), vector_of(two)};
    Owed& owed = s.owe("the writev");
    must(s.backend().writev(file.get(), buffers, 4, owed.callback()));
    buffers.assign(2, iovec{});
    s.run_until(owed);
    res = owed.res;
  }
  expect_transfer(res, 11);
  std::string expected(32, '-');
  expected.replace(4, static_cast<std::size_t>(res), one + two, 0, static_cast<std::size_t>(res));
  EXPECT_EQ(file_content(file.get()), expected);
}

void fsync_succeeds(BackendScenario& s) {
  Fd file = make_file(pattern(10));
  EXPECT_EQ(result_of(s, "the fsync", [&](auto done) { return s.backend().fsync(file.get(), done); }), 0);
}

void opens_writes_and_closes(BackendScenario& s) {
  TemporaryFolder folder;
  int fd = -1;
  {
    // The path is the caller's only during the call.
    std::string path = "file";
    Owed& owed = s.owe("the openat");
    must(s.backend().openat(folder.fd(), path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0640, owed.callback()));
    path.assign(path.size(), '/');
    s.run_until(owed);
    fd = owed.res;
  }
  ASSERT_GE(fd, 0);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  struct stat status {};
  EXPECT_EQ(::fstat(fd, &status), 0);
  EXPECT_EQ(status.st_mode & 0700, 0600u);
  const std::string content = pattern(8);
  expect_transfer(
      result_of(s, "the write", [&](auto done) { return s.backend().write(fd, bytes_of(content), 0, done); }), 8);
  EXPECT_EQ(result_of(s, "the close", [&](auto done) { return s.backend().close(fd, done); }), 0);
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  EXPECT_EQ(errno, EBADF);
}

void openat_reports_what_is_missing(BackendScenario& s) {
  TemporaryFolder folder;
  EXPECT_EQ(result_of(s, "the openat",
                      [&](auto done) { return s.backend().openat(folder.fd(), "nothing", O_RDONLY, 0, done); }),
            -ENOENT);
}

void closing_a_bad_fd_is_a_result(BackendScenario& s) {
  const int fd = closed_fd();
  EXPECT_EQ(result_of(s, "the close", [&](auto done) { return s.backend().close(fd, done); }), -EBADF);
}

void a_bad_fd_is_a_result(BackendScenario& s) {
  const int fd = closed_fd();
  std::string buffer(8, '-');
  EXPECT_EQ(result_of(s, "the read", [&](auto done) { return s.backend().read(fd, bytes_of(buffer), 0, done); }),
            -EBADF);
  EXPECT_EQ(result_of(s, "the write",
                      [&](auto done) { return s.backend().write(fd, bytes_of(std::as_const(buffer)), 0, done); }),
            -EBADF);
  EXPECT_EQ(result_of(s, "the fsync", [&](auto done) { return s.backend().fsync(fd, done); }), -EBADF);
  EXPECT_EQ(buffer, "--------");
}

void one_bad_operation_leaves_the_others_alone(BackendScenario& s) {
  const std::string content = pattern(8);
  Fd file = make_file(content);
  std::string before(8, '-'), bad(8, '-'), after(8, '-');
  Owed &first = s.owe("the read before"), &second = s.owe("the bad one"), &third = s.owe("the read after");
  must(s.backend().read(file.get(), bytes_of(before), 0, first.callback()));
  must(s.backend().read(-1, bytes_of(bad), 0, second.callback()));
  must(s.backend().read(file.get(), bytes_of(after), 0, third.callback()));
  s.run_until([&] { return first.done() && second.done() && third.done(); });
  expect_transfer(first.res, 8);
  EXPECT_EQ(second.res, -EBADF);
  expect_transfer(third.res, 8);
}

void an_empty_read_is_zero(BackendScenario& s) {
  Fd file = make_file(pattern(8));
  std::string buffer;
  EXPECT_EQ(
      result_of(s, "the read", [&](auto done) { return s.backend().read(file.get(), bytes_of(buffer), 0, done); }), 0);
}

void a_read_waits_for_data(BackendScenario& s) {
  Pipe pipe = make_pipe();
  std::string buffer(8, '-');
  Owed& owed = s.owe("the read");
  must(s.backend().read(pipe.read_end.get(), bytes_of(buffer), 0, owed.callback()));
  s.settle();
  EXPECT_FALSE(owed.done());
  EXPECT_EQ(s.run(RunMode::kNonBlock), RunResult::kNothingToDo) << "an operation in flight keeps the loop alive";
  write_text(pipe.write_end.get(), "data");
  s.run_until(owed);
  expect_transfer(owed.res, 4);
  EXPECT_EQ(buffer.substr(0, static_cast<std::size_t>(owed.res)),
            std::string("data").substr(0, static_cast<std::size_t>(owed.res)));
}

void a_read_ends_with_the_last_writer(BackendScenario& s) {
  Pipe pipe = make_pipe();
  std::string buffer(8, '-');
  Owed& owed = s.owe("the read");
  must(s.backend().read(pipe.read_end.get(), bytes_of(buffer), 0, owed.callback()));
  s.settle();
  pipe.write_end.reset();
  s.run_until(owed);
  EXPECT_EQ(owed.res, 0);
}

void a_write_without_readers_is_epipe(BackendScenario& s) {
  // The kernel also sends SIGPIPE, as write(2) does.
  struct sigaction ignore {
  }, previous{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &previous);
  Pipe pipe = make_pipe();
  pipe.read_end.reset();
  const std::string content = pattern(8);
  EXPECT_EQ(result_of(s, "the write",
                      [&](auto done) { return s.backend().write(pipe.write_end.get(), bytes_of(content), 0, done); }),
            -EPIPE);
  ::sigaction(SIGPIPE, &previous, nullptr);
}

void many_reads_at_once(BackendScenario& s) {
  constexpr std::size_t kCount = 24;
  const std::string content = pattern(kCount * 4);
  Fd file = make_file(content);
  std::vector<std::string> buffers(kCount, std::string(4, '-'));
  std::vector<Owed*> reads;
  for (std::size_t i = 0; i < kCount; ++i) {
    reads.push_back(&s.owe("read " + std::to_string(i)));
    must(s.backend().read(file.get(), bytes_of(buffers[i]), i * 4, reads[i]->callback()));
  }
  s.run(RunMode::kUntilIdle);
  for (std::size_t i = 0; i < kCount; ++i) {
    expect_transfer(reads[i]->res, 4);
    const auto got = static_cast<std::size_t>(std::max(reads[i]->res, 0));
    EXPECT_EQ(buffers[i].substr(0, got), content.substr(i * 4, got));
  }
}

// What programs do with a loop: each step starts the next one, and short results are continued.
class Copy {
 public:
  Copy(BackendScenario& s, int from, int to) : s_(s), from_(from), to_(to) {}

  void read_more() {
    Owed& owed = s_.owe("a read of the copy");
    must(s_.backend().read(from_, bytes_of(buffer_), offset_, owed.callback([this](int res) {
      ASSERT_GE(res, 0);
      have_ = static_cast<std::size_t>(res);
      written_ = 0;
      if (have_ > 0) return write_more();
      sync();
    })));
  }

  bool done() const { return done_; }

 private:
  void write_more() {
    Owed& owed = s_.owe("a write of the copy");
    const std::span<const std::byte> rest = bytes_of(std::as_const(buffer_)).subspan(written_, have_ - written_);
    must(s_.backend().write(to_, rest, offset_, owed.callback([this](int res) {
      ASSERT_GT(res, 0);
      written_ += static_cast<std::size_t>(res);
      offset_ += static_cast<std::size_t>(res);
      written_ < have_ ? write_more() : read_more();
    })));
  }

  void sync() {
    Owed& owed = s_.owe("the fsync of the copy");
    must(s_.backend().fsync(to_, owed.callback([this](int res) {
      EXPECT_EQ(res, 0);
      done_ = true;
    })));
  }

  BackendScenario& s_;
  int from_, to_;
  std::string buffer_ = std::string(50, '-');
  std::uint64_t offset_ = 0;
  std::size_t have_ = 0, written_ = 0;
  bool done_ = false;
};

void copies_a_file_from_callback_to_callback(BackendScenario& s) {
  const std::string content = pattern(333);
  Fd from = make_file(content), to = make_file();
  Copy copy(s, from.get(), to.get());
  copy.read_more();
  s.run_until([&] { return copy.done(); });
  EXPECT_EQ(file_content(to.get()), content);
}

}  // namespace

void internal::add_backend_files(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, CapabilitySet capabilities, void (*body)(BackendScenario&), Needs needs = {}) {
    behaviours.push_back(
        {.suite = "BackendFiles", .name = name, .capabilities = capabilities, .body = body, .needs = std::move(needs)});
  };
  add("ReadsAtAnOffset", {C::kReadWrite}, reads_at_an_offset);
  add("ReadsNothingAtTheEndOfAFile", {C::kReadWrite}, reads_nothing_at_the_end_of_a_file);
  add("AShortResultIsReportedAsItIs", {C::kReadWrite}, a_short_result_is_reported_as_it_is);
  add("WritesAtAnOffset", {C::kReadWrite}, writes_at_an_offset);
  add("ReadvFillsItsBuffersInOrder", {C::kVectored}, readv_fills_its_buffers_in_order);
  add("WritevJoinsItsBuffers", {C::kVectored}, writev_joins_its_buffers);
  add("FsyncSucceeds", {C::kReadWrite}, fsync_succeeds);
  add("OpensWritesAndCloses", {C::kOpenClose, C::kReadWrite}, opens_writes_and_closes);
  add("OpenatReportsWhatIsMissing", {C::kOpenClose}, openat_reports_what_is_missing);
  add("ClosingABadFdIsAResult", {C::kOpenClose}, closing_a_bad_fd_is_a_result);
  add("ABadFdIsAResult", {C::kReadWrite}, a_bad_fd_is_a_result);
  add("OneBadOperationLeavesTheOthersAlone", {C::kReadWrite}, one_bad_operation_leaves_the_others_alone);
  add("AnEmptyReadIsZero", {C::kReadWrite}, an_empty_read_is_zero);
  add("AReadWaitsForData", {C::kReadWrite}, a_read_waits_for_data);
  add("AReadEndsWithTheLastWriter", {C::kReadWrite}, a_read_ends_with_the_last_writer);
  add("AWriteWithoutReadersIsEpipe", {C::kReadWrite}, a_write_without_readers_is_epipe);
  add("ManyReadsAtOnce", {C::kReadWrite}, many_reads_at_once);
  add("CopiesAFileFromCallbackToCallback", {C::kReadWrite}, copies_a_file_from_callback_to_callback);
}

}  // namespace assay::conformance
