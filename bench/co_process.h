#pragma once

#include <sys/types.h>
#include <memory>
#include <string>
#include <vector>

#include "assay/backend/result.h"
#include "assay/bench/subject_protocol.h"

namespace assay::bench {

/// A program beside this one that does what it is told, so that two builds of one source can be measured in one run.
class CoProcess {
 public:
  /// Starts the program of that name, which lies beside this one's, and waits until it is ready. `file`, if it is none
  /// below 0, becomes its descriptor kSubjectFile. The error is one line: it is not there, it ended, or what it said.
  static Result<std::unique_ptr<CoProcess>> start(const std::string& program, std::vector<std::string> arguments,
                                                  int file);
  CoProcess(const CoProcess&) = delete;
  CoProcess& operator=(const CoProcess&) = delete;
  /// Ends it.
  ~CoProcess();

  Result<SubjectAnswer> ask(const SubjectOrder& order);

 private:
  CoProcess(std::string program, int socket) : program_(std::move(program)), socket_(socket) {}
  Result<SubjectAnswer> answer();

  std::string program_;
  int socket_;
  pid_t pid_ = -1;
};

}  // namespace assay::bench
