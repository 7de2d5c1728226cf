#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace assay {

/// What came of a program that was run.
struct Outcome {
  int status = -1;
  std::string out;
  std::string err;
};

inline std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Makes io_uring_setup answer `error` from now on, as a container's filter does, here and in all that is executed.
inline bool forbid_io_uring(unsigned error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {static_cast<unsigned short>(std::size(program)), program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// A program that is run by its command line, in a directory of the test's own.
class ProgramTest : public testing::Test {
 protected:
  explicit ProgramTest(std::string program) : program_(std::move(program)) {}

  void SetUp() override {
    std::string path = testing::TempDir() + "assay-program-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    folder_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// Runs the program with arguments as a shell takes them. `prepare` is called in the child before, and says whether
  /// all is ready.
  Outcome run_prepared(const std::string& arguments, const std::function<bool()>& prepare) {
    const std::filesystem::path out = folder_ / "stdout";
    const std::filesystem::path err = folder_ / "stderr";
    // Redirections before the arguments, so that these can change them.
    const std::string command = "cd '" + folder_.string() + "' && >'" + out.string() + "' 2>'" + err.string() +
                                "' </dev/null '" + program_ + "' " + arguments;
    const pid_t child = fork();
    if (child == 0) {
      if (!prepare()) _exit(126);
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << arguments;
    return {WEXITSTATUS(status), contents(out), contents(err)};
  }
  /// The same; io_uring_setup answers with the errno `forbidden`, unless 0.
  Outcome run(const std::string& arguments, unsigned forbidden = 0) {
    return run_prepared(arguments, [forbidden] { return forbidden == 0 || forbid_io_uring(forbidden); });
  }

  std::string program_;
  std::filesystem::path folder_;
};

}  // namespace assay
