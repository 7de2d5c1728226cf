// Faults switched on and off from outside, in a process that runs.

#include "assay/faultinject/live_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace assay {
namespace {

// live_control_subject, with its ends of two pipes and a folder for libfiu's.
class Subject {
 public:
  explicit Subject(const std::string& setting) : folder_(make_folder()) {
    std::array<int, 2> to{};
    std::array<int, 2> from{};
    EXPECT_EQ(::pipe(to.data()), 0);
    EXPECT_EQ(::pipe(from.data()), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    for (const int end : {to[0], to[1], from[0], from[1]}) posix_spawn_file_actions_addclose(&actions, end);
    std::string program = LIVE_CONTROL_SUBJECT;
    std::string temporary = "TMPDIR=" + folder_;
    std::string control = "ASSAY_FIU=" + setting;
    std::array<char*, 2> arguments = {program.data(), nullptr};
    std::array<char*, 3> environment = {temporary.data(), control.data(), nullptr};
    EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments.data(), environment.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(to[0]);
    ::close(from[1]);
    to_ = ::fdopen(to[1], "w");
    from_ = ::fdopen(from[0], "r");
    EXPECT_EQ(next_line(), "ready");
  }
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  ~Subject() {
    std::fclose(to_);  // which ends it
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    EXPECT_EQ(status, 0);
    std::fclose(from_);
    EXPECT_EQ(::rmdir(folder_.c_str()), 0) << "named pipes were left behind";
  }

  // What the next submission of one NOP returns.
  int submission() {
    std::fputs("\n", to_);
    std::fflush(to_);
    return std::stoi(next_line());
  }

  // Sends one of libfiu's commands over its named pipes, and returns the answer.
  std::string command(const std::string& text) const {
    std::ofstream(pipe() + ".in") << text << std::endl;
    std::string answer;
    std::getline(std::ifstream(pipe() + ".out"), answer);
    return answer;
  }
  bool can_be_commanded() const { return ::access((pipe() + ".in").c_str(), F_OK) == 0; }

  // The same by fiu-ctrl, as a person would.
  void fiu_ctrl(const std::string& text) const {
    const std::string line = "TMPDIR='" + folder_ + "' fiu-ctrl -c '" + text + "' " + std::to_string(pid_);
    EXPECT_EQ(std::system(line.c_str()), 0) << line;
  }

 private:
  static std::string make_folder() {
    std::string name = testing::TempDir() + "live_control_test.XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    return name;
  }
  std::string pipe() const { return folder_ + "/fiu-ctrl-" + std::to_string(pid_); }
  std::string next_line() {
    std::array<char, 64> line{};
    EXPECT_NE(std::fgets(line.data(), line.size(), from_), nullptr) << "the subject ended";
    std::string text(line.data());
    if (!text.empty()) text.pop_back();
    return text;
  }

  std::string folder_;
  pid_t pid_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

TEST(LiveControl, DrivesARunningProcess) {
  Subject subject("1");
  ASSERT_TRUE(subject.can_be_commanded());
  EXPECT_EQ(subject.submission(), 1);
  EXPECT_EQ(subject.command("enable name=assay/enter/eagain"), "0");
  EXPECT_EQ(subject.submission(), -EAGAIN);
  EXPECT_EQ(subject.submission(), -EAGAIN);
  EXPECT_EQ(subject.command("disable name=assay/enter/eagain"), "0");
  EXPECT_EQ(subject.submission(), 1);
  EXPECT_EQ(subject.command("enable name=assay/enter/errno,failnum=" + std::to_string(ENXIO)), "0");
  EXPECT_EQ(subject.submission(), -ENXIO);
}

TEST(LiveControl, TakesWholeFamiliesOfPoints) {
  Subject subject("1");
  EXPECT_EQ(subject.command("enable name=assay/enter/*,failnum=" + std::to_string(ENXIO)), "0");
  EXPECT_EQ(subject.submission(), -ENXIO) << "the first point that an enter crosses";
}

TEST(LiveControl, IsDrivenByFiuCtrl) {
  if (std::system("command -v fiu-ctrl >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "fiu-ctrl is not on the PATH (Debian: fiu-utils); DrivesARunningProcess speaks its protocol";
  }
  Subject subject("1");
  subject.fiu_ctrl("enable name=assay/enter/eagain");
  EXPECT_EQ(subject.submission(), -EAGAIN);
  subject.fiu_ctrl("disable name=assay/enter/eagain");
  EXPECT_EQ(subject.submission(), 1);
}

TEST(LiveControl, IsOffUnlessTheEnvironmentSaysOne) {
  for (const char* setting : {"0", "", "yes"}) {
    Subject subject(setting);
    EXPECT_FALSE(subject.can_be_commanded()) << setting;
    EXPECT_EQ(subject.submission(), 1);
  }
}

}  // namespace
}  // namespace assay
