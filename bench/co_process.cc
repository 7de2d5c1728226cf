#include "assay/bench/co_process.h"

#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <string_view>

namespace assay::bench {
namespace {

std::string path_beside_this_program(const std::string& name) {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string_view self(path, static_cast<std::size_t>(std::max<ssize_t>(0, length)));
  return std::string(self.substr(0, self.rfind('/') + 1)) + name;
}

/// What the environment would make of assay::liburing (another kernel, a plan, a trace) is not what is measured.
std::vector<char*> environment_without_assay() {
  std::vector<char*> kept;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::string_view(*variable).substr(0, 6) != "ASSAY_") kept.push_back(*variable);
  }
  kept.push_back(nullptr);
  return kept;
}

}  // namespace

Result<std::unique_ptr<CoProcess>> CoProcess::start(const std::string& program, std::vector<std::string> arguments,
                                                    int file) {
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
    return Error::from_errno(errno, "socketpair");
  std::unique_ptr<CoProcess> process(new CoProcess(program, sockets[0]));

  const std::string path = path_beside_this_program(program);
  arguments.insert(arguments.begin(), program);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, sockets[1], STDIN_FILENO);
  if (file >= 0) ::posix_spawn_file_actions_adddup2(&actions, file, kSubjectFile);
  // In a process group of its own: a terminal's SIGINT asks this program to come to an end, which it does in order.
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error = ::posix_spawn(&process->pid_, path.c_str(), &actions, &attributes, argv.data(),
                                  environment_without_assay().data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(sockets[1]);
  if (error != 0) {
    process->pid_ = -1;
    return Error::from_errno(error, path);
  }
  const Result<SubjectAnswer> ready = process->answer();
  if (!ready) return ready.error();
  return process;
}

CoProcess::~CoProcess() {
  ::close(socket_);
  if (pid_ < 0) return;
  // It would end by itself, now that its socket is gone; unless it hangs.
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

Result<SubjectAnswer> CoProcess::ask(const SubjectOrder& order) {
  // That it is gone is told by the answer.
  ::send(socket_, &order, sizeof order, MSG_NOSIGNAL);
  return answer();
}

Result<SubjectAnswer> CoProcess::answer() {
  SubjectAnswer answer;
  ssize_t received = 0;
  do {
    received = ::recv(socket_, &answer, sizeof answer, 0);
  } while (received < 0 && errno == EINTR);
  if (received == static_cast<ssize_t>(sizeof answer)) {
    answer.what[sizeof answer.what - 1] = '\0';
    if (answer.error != 0) return Error::from_errno(answer.error, program_ + ": " + answer.what);
    return answer;
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  const std::string how = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                              : "exit status " + std::to_string(WEXITSTATUS(status));
  return Error::from_errno(EPIPE, program_ + " ended by " + how);
}

}  // namespace assay::bench
