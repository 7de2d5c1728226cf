// Operations on files and names of the reference backend. Wherever a kernel lacks the request the backend has another
// way, so none of them needs anything of the kernel.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/folder.h"
#include "assay/conformance/reference_actions.h"

namespace assay::conformance {
namespace {

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + (i * 7 + i / 26) % 26);
  return text;
}

off_t size_of(int fd) {
  struct stat status {};
  EXPECT_EQ(::fstat(fd, &status), 0);
  return status.st_size;
}

void opens_as_the_open_how_says(BackendScenario& s) {
  Folder folder;
  Owed& opened = s.owe("the openat2");
  {
    // Path and structure are the caller's only during the call.
    std::string path = "file";
    open_how how{.flags = O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, .mode = 0600, .resolve = RESOLVE_BENEATH};
    reference_backend(s).openat2(folder.fd(), path, how, opened.callback());
    path.assign(path.size(), '/');
    how = {.flags = ~0u, .mode = 0, .resolve = 0};
  }
  s.run_until(opened);
  ASSERT_GE(opened.res, 0);
  const Fd fd(opened.res);
  EXPECT_EQ(::fcntl(fd.get(), F_GETFL) & O_ACCMODE, O_WRONLY);
  EXPECT_NE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
  const open_how escape{.flags = O_RDONLY | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_BENEATH};
  EXPECT_EQ(result_of(s, "the openat2 of what lies above",
                      [&](auto done) { reference_backend(s).openat2(folder.fd(), "../", escape, done); }),
            -EXDEV);
}

void openat_keeps_the_path(BackendScenario& s) {
  Folder folder;
  const Fd there = folder.make("file", "content");
  Owed& opened = s.owe("the openat");
  {
    std::string path = "file";
    reference_backend(s).openat(folder.fd(), path, O_RDONLY | O_CLOEXEC, 0, opened.callback());
    path.assign(path.size(), '/');
  }
  s.run_until(opened);
  ASSERT_GE(opened.res, 0);
  EXPECT_EQ(size_of(opened.res), 7);
  EXPECT_EQ(result_of(s, "the close", [&](auto done) { reference_backend(s).close(opened.res, done); }), 0);
  EXPECT_EQ(::fcntl(opened.res, F_GETFD), -1);
}

void statx_fills_its_structure(BackendScenario& s) {
  Folder folder;
  const Fd file = folder.make("file", "content");
  struct statx status {};
  Owed& told = s.owe("the statx");
  {
    std::string path = "file";
    reference_backend(s).statx(folder.fd(), path, 0, STATX_SIZE | STATX_TYPE, &status, told.callback());
    path.assign(path.size(), '/');
  }
  s.run_until(told);
  EXPECT_EQ(told.res, 0);
  EXPECT_EQ(status.stx_size, 7u);
  EXPECT_TRUE(S_ISREG(status.stx_mode));
  EXPECT_EQ(result_of(s, "the statx of an empty path",
                      [&](auto done) {
                        reference_backend(s).statx(file.get(), "", AT_EMPTY_PATH, STATX_SIZE, &status, done);
                      }),
            0);
  EXPECT_EQ(result_of(s, "the statx of nothing",
                      [&](auto done) { reference_backend(s).statx(folder.fd(), "none", 0, 0, &status, done); }),
            -ENOENT);
}

void fallocate_makes_room(BackendScenario& s) {
  Folder folder;
  const Fd file = folder.make("file", "content");
  EXPECT_EQ(result_of(s, "the fallocate",
                      [&](auto done) { reference_backend(s).fallocate(file.get(), 0, 4096, 8192, done); }),
            0);
  EXPECT_EQ(size_of(file.get()), 12288);
  EXPECT_EQ(
      result_of(s, "the fallocate that keeps the size",
                [&](auto done) { reference_backend(s).fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, 65536, done); }),
      0);
  EXPECT_EQ(size_of(file.get()), 12288);
}

void ftruncate_cuts(BackendScenario& s) {
  Folder folder;
  const Fd file = folder.make("file", "content");
  EXPECT_EQ(result_of(s, "the ftruncate", [&](auto done) { reference_backend(s).ftruncate(file.get(), 4, done); }), 0);
  EXPECT_EQ(folder.content("file"), "cont");
}

void fdatasync_succeeds(BackendScenario& s) {
  Folder folder;
  const Fd file = folder.make("file", "content");
  EXPECT_EQ(result_of(s, "the fdatasync", [&](auto done) { reference_backend(s).fdatasync(file.get(), done); }), 0);
}

void renames(BackendScenario& s) {
  Folder folder;
  const Fd file = folder.make("old", "content"), other = folder.make("other", "else");
  Owed& renamed = s.owe("the renameat");
  {
    std::string from = "old", to = "new";
    reference_backend(s).renameat(folder.fd(), from, folder.fd(), to, 0, renamed.callback());
    from.assign(from.size(), '/');
    to.assign(to.size(), '/');
  }
  s.run_until(renamed);
  EXPECT_EQ(renamed.res, 0);
  EXPECT_FALSE(folder.has("old"));
  EXPECT_EQ(folder.content("new"), "content");
  EXPECT_EQ(result_of(s, "the renameat that may not replace",
                      [&](auto done) {
                        reference_backend(s).renameat(folder.fd(), "new", folder.fd(), "other", RENAME_NOREPLACE, done);
                      }),
            -EEXIST);
  EXPECT_EQ(folder.content("other"), "else");
}

void makes_and_removes_directories(BackendScenario& s) {
  Folder folder;
  const Fd file = folder.make("file");
  Owed &made = s.owe("the mkdirat"), &unlinked = s.owe("the unlinkat");
  {
    std::string directory = "directory", path = "file";
    reference_backend(s).mkdirat(folder.fd(), directory, 0700, made.callback());
    reference_backend(s).unlinkat(folder.fd(), path, 0, unlinked.callback());
    directory.assign(directory.size(), '/');
    path.assign(path.size(), '/');
  }
  s.run_until([&] { return made.done() && unlinked.done(); });
  EXPECT_EQ(made.res, 0);
  EXPECT_EQ(unlinked.res, 0);
  EXPECT_TRUE(folder.has_directory("directory"));
  EXPECT_FALSE(folder.has("file"));
  EXPECT_EQ(result_of(s, "the unlinkat of a directory",
                      [&](auto done) { reference_backend(s).unlinkat(folder.fd(), "directory", 0, done); }),
            -EISDIR);
  EXPECT_EQ(result_of(s, "the unlinkat of a directory as such",
                      [&](auto done) { reference_backend(s).unlinkat(folder.fd(), "directory", AT_REMOVEDIR, done); }),
            0);
  EXPECT_FALSE(folder.has("directory"));
}

void splices_a_file_into_a_pipe(BackendScenario& s) {
  const std::string content = pattern(64);
  const Fd file = make_file(content);
  const Pipe pipe = make_pipe();
  const int res = result_of(s, "the splice", [&](auto done) {
    reference_backend(s).splice(file.get(), 10, pipe.write_end.get(), kCurrentPosition, 20, 0, done);
  });
  const std::size_t bytes = moved(res, 20);
  EXPECT_EQ(read_text(pipe.read_end.get(), bytes), content.substr(10, bytes));
}

void a_splice_waits_for_data(BackendScenario& s) {
  for (const int flags : {0, O_NONBLOCK}) {
    const Pipe from = make_pipe(flags), to = make_pipe(flags);
    Owed& spliced = s.owe("the splice");
    reference_backend(s).splice(from.read_end.get(), kCurrentPosition, to.write_end.get(), kCurrentPosition, 100, 0,
                                spliced.callback());
    s.settle();
    EXPECT_FALSE(spliced.done());
    write_text(from.write_end.get(), "data");
    s.run_until(spliced);
    const std::size_t bytes = moved(spliced.res, 4);
    EXPECT_EQ(read_text(to.read_end.get(), bytes), std::string("data").substr(0, bytes));
  }
}

void a_read_of_an_o_nonblock_pipe_waits(BackendScenario& s) {
  const Pipe pipe = make_pipe(O_NONBLOCK);
  std::string buffer(8, '-');
  Owed& told = s.owe("the read");
  reference_backend(s).read(pipe.read_end.get(), bytes_of(buffer), kCurrentPosition, told.callback());
  s.settle();
  EXPECT_FALSE(told.done());
  write_text(pipe.write_end.get(), "data");
  s.run_until(told);
  moved(told.res, 4);
}

void bad_arguments_are_results(BackendScenario& s) {
  const int fd = closed_fd();
  const std::vector<std::pair<const char*, std::function<void(OperationCallback)>>> operations = {
      {"fallocate", [&](auto done) { reference_backend(s).fallocate(fd, 0, 0, 1, done); }},
      {"ftruncate", [&](auto done) { reference_backend(s).ftruncate(fd, 0, done); }},
      {"fdatasync", [&](auto done) { reference_backend(s).fdatasync(fd, done); }},
      {"unlinkat", [&](auto done) { reference_backend(s).unlinkat(fd, "file", 0, done); }},
      {"mkdirat", [&](auto done) { reference_backend(s).mkdirat(fd, "file", 0700, done); }},
      {"renameat", [&](auto done) { reference_backend(s).renameat(fd, "a", fd, "b", 0, done); }},
      {"splice", [&](auto done) { reference_backend(s).splice(fd, 0, fd, 0, 1, 0, done); }}};
  for (const auto& [name, start] : operations) EXPECT_EQ(result_of(s, name, start), -EBADF) << name;
}

struct Whole {
  bool done = false;
  TransferResult result;

  TransferCallback callback() {
    return [this](TransferResult told) {
      EXPECT_FALSE(done);
      done = true;
      result = told;
    };
  }
};

void transfers_of_all_go_on(BackendScenario& s) {
  const std::string content = pattern(100);
  const Fd file = make_file(std::string(110, '-'));
  Whole written, read, beyond;
  std::string back(120, '='), none(8, '=');
  reference_backend(s).write_all(file.get(), sent(content), 10, written.callback());
  s.run_until([&] { return written.done; });
  EXPECT_EQ(written.result.bytes, 100u);
  EXPECT_EQ(written.result.error, 0);
  reference_backend(s).read_all(file.get(), bytes_of(back), 5, read.callback());
  reference_backend(s).read_all(file.get(), bytes_of(none), 110, beyond.callback());
  s.run_until([&] { return read.done && beyond.done; });
  EXPECT_EQ(read.result.bytes, 105u);
  EXPECT_EQ(read.result.error, 0);
  EXPECT_EQ(back, "-----" + content + std::string(15, '='));
  EXPECT_EQ(beyond.result.bytes, 0u);
  EXPECT_EQ(beyond.result.error, 0);
}

// A transfer past the page cache goes in blocks of the file: a step after a short one must begin at a block's start.
// The file ends inside of a block.
void transfers_of_all_go_on_past_the_cache(BackendScenario& s) {
  constexpr std::size_t kBlocks = 6;
  Folder folder;
  const Fd plain = folder.make("file");
  Fd file(::openat(folder.fd(), "file", O_RDWR | O_DIRECT | O_CLOEXEC));
  if (file.get() < 0) {
    // Some file systems have no such way; the transfer must be right there all the same.
    ASSERT_EQ(errno, EINVAL);
    file = Fd(::openat(folder.fd(), "file", O_RDWR | O_CLOEXEC));
  }
  // What moves byte by byte, as it may through the cache, is to be short.
  const std::size_t block = (::fcntl(file.get(), F_GETFL) & O_DIRECT) != 0 ? 4096 : 32;
  const std::size_t end = 5 * block + block / 5;
  const std::string content = pattern(kBlocks * block);
  const std::unique_ptr<char, void (*)(void*)> memory(static_cast<char*>(std::aligned_alloc(4096, 4096 * kBlocks)),
                                                      std::free);
  const std::span<std::byte> buffer = std::as_writable_bytes(std::span(memory.get(), kBlocks * block));
  content.copy(memory.get(), content.size());
  Whole written, read;
  reference_backend(s).write_all(file.get(), buffer, 0, written.callback());
  s.run_until([&] { return written.done; });
  EXPECT_EQ(written.result.error, 0);
  ASSERT_EQ(written.result.bytes, content.size());
  EXPECT_EQ(file_content(plain.get()), content);
  ASSERT_EQ(::ftruncate(plain.get(), end), 0);
  std::fill(memory.get(), memory.get() + content.size(), '=');
  reference_backend(s).read_all(file.get(), buffer, 0, read.callback());
  s.run_until([&] { return read.done; });
  EXPECT_EQ(read.result.error, 0);
  ASSERT_EQ(read.result.bytes, end);
  EXPECT_EQ(std::string(memory.get(), end), content.substr(0, end));
}

// A file that ends inside of a block, and grows before the next step: that must begin at the block's start, for it
// cannot be read from where the first step ended.
void a_transfer_past_the_cache_begins_at_a_block(BackendScenario& s) {
  constexpr std::size_t kBlock = 4096, kEnd = 700;
  Folder folder;
  const std::string content = pattern(2 * kBlock);
  const Fd plain = folder.make("file", content.substr(0, kEnd));
  Fd file(::openat(folder.fd(), "file", O_RDONLY | O_DIRECT | O_CLOEXEC));
  if (file.get() < 0) {
    ASSERT_EQ(errno, EINVAL);
    file = Fd(::openat(folder.fd(), "file", O_RDONLY | O_CLOEXEC));
  }
  const std::unique_ptr<char, void (*)(void*)> memory(static_cast<char*>(std::aligned_alloc(kBlock, 2 * kBlock)),
                                                      std::free);
  Whole written, read;
  reference_backend(s).read_all(file.get(), std::as_writable_bytes(std::span(memory.get(), 2 * kBlock)), 0,
                                read.callback());
  // Submitted together with the first step, and carried out behind it.
  reference_backend(s).write_all(plain.get(), sent(content).subspan(kEnd), kEnd, written.callback());
  s.run_until([&] { return read.done && written.done; });
  EXPECT_EQ(read.result.error, 0);
  // Where a worker reads, it may look again before the file has grown.
  EXPECT_GE(read.result.bytes, kEnd);
  EXPECT_EQ(std::string(memory.get(), read.result.bytes), content.substr(0, read.result.bytes));
}

void what_waits_is_cancelled(BackendScenario& s) {
  const Pipe from = make_pipe(), to = make_pipe();
  std::string buffer(8, '-');
  Owed &splice = s.owe("the splice"), &read = s.owe("the read");
  const OperationHandle first = reference_backend(s).splice(from.read_end.get(), kCurrentPosition, to.write_end.get(),
                                                            kCurrentPosition, 100, 0, splice.callback());
  const OperationHandle second =
      reference_backend(s).read(to.read_end.get(), bytes_of(buffer), kCurrentPosition, read.callback());
  s.settle();
  must(reference_backend(s).cancel(first));
  must(reference_backend(s).cancel(second));
  s.run_until([&] { return splice.done() && read.done(); });
  EXPECT_EQ(splice.res, -ECANCELED);
  EXPECT_EQ(read.res, -ECANCELED);
}

void destruction_tells_each_once(BackendScenario& s) {
  const Pipe pipe = make_pipe(), other = make_pipe();
  Folder folder;
  std::string buffer(8, '-');
  Owed &splice = s.owe("the splice"), &read = s.owe("the read"), &made = s.owe("the mkdirat");
  Backend& backend = reference_backend(s);
  backend.splice(pipe.read_end.get(), kCurrentPosition, other.write_end.get(), kCurrentPosition, 1, 0,
                 splice.callback());
  backend.read(other.read_end.get(), bytes_of(buffer), kCurrentPosition, read.callback());
  s.settle();
  backend.mkdirat(folder.fd(), "directory", 0700, made.callback());
  s.destroy_backend();
  EXPECT_EQ(splice.res, -ECANCELED);
  EXPECT_EQ(read.res, -ECANCELED);
  // Made at once where the kernel has no such request; else cancelled before it was seen.
  EXPECT_EQ(made.res, folder.has_directory("directory") ? 0 : -ECANCELED);
}

}  // namespace

void internal::add_reference_files(BackendBehaviours& behaviours) {
  ReferenceSuite suite(behaviours, "ReferenceFiles",
                       {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_OPENAT, IORING_OP_OPENAT2, IORING_OP_CLOSE,
                        IORING_OP_STATX, IORING_OP_FALLOCATE, IORING_OP_SPLICE});
  suite.add("OpensAsTheOpenHowSays", opens_as_the_open_how_says);
  suite.add("OpenatKeepsThePath", openat_keeps_the_path);
  suite.add("StatxFillsItsStructure", statx_fills_its_structure);
  suite.add("FallocateMakesRoom", fallocate_makes_room);
  suite.add("FtruncateCuts", ftruncate_cuts);
  suite.add("FdatasyncSucceeds", fdatasync_succeeds);
  suite.add("Renames", renames);
  suite.add("MakesAndRemovesDirectories", makes_and_removes_directories);
  suite.add("SplicesAFileIntoAPipe", splices_a_file_into_a_pipe);
  suite.add("ASpliceWaitsForData", a_splice_waits_for_data);
  suite.add("AReadOfAnONonblockPipeWaits", a_read_of_an_o_nonblock_pipe_waits);
  suite.add("BadArgumentsAreResults", bad_arguments_are_results);
  suite.add("TransfersOfAllGoOn", transfers_of_all_go_on);
  suite.add("TransfersOfAllGoOnPastTheCache", transfers_of_all_go_on_past_the_cache);
  suite.add("ATransferPastTheCacheBeginsAtABlock", a_transfer_past_the_cache_begins_at_a_block);
  suite.add("WhatWaitsIsCancelled", what_waits_is_cancelled);
  suite.add("DestructionTellsEachOnce", destruction_tells_each_once);
}

}  // namespace assay::conformance
