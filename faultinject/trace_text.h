#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <string>

#include "assay/backend/uapi.h"

namespace assay {

/// Names for numbers that differ from run to run, given in the order of first sight.
class TraceNames {
 public:
  /// "buffer1"; "0" for null.
  std::string address(std::uint64_t value);
  /// Small numbers as they are; "data1" for what may be a pointer; "timeout" for Ring's own requests.
  std::string user_data(std::uint64_t value);

 private:
  std::map<std::uint64_t, std::size_t> addresses_;
  std::map<std::uint64_t, std::size_t> user_data_;
};

/// "READ fd=7 off=0 addr=buffer1 len=4096 user_data=1 flags=IO_LINK"; what is zero and says nothing is left out.
std::string trace_sqe(const io_uring_sqe& sqe, TraceNames& names);

/// "user_data=1 res=-ECANCELED flags=MORE".
std::string trace_cqe(const io_uring_cqe& cqe, TraceNames& names);

/// "-EAGAIN", or the number.
std::string trace_result(int result);

/// "SQ_RING", "CQ_RING", "SQES", or the number.
std::string trace_offset(std::uint64_t offset);

/// "1.500000000" seconds; "none" for null.
std::string trace_time(const timespec* time);

/// What an enter's argument says: "timeout=0.005000000 sigmask"; empty where it says nothing.
std::string trace_enter_arg(unsigned flags, const void* arg, std::size_t arg_bytes);

}  // namespace assay
