#pragma once

#include <functional>
#include <thread>

namespace assay::internal {

/// Starts a thread that blocks all signals, so that those which mean the process find another thread. Empty (not
/// joinable) where no thread can be had.
std::thread start_unsignalled_thread(std::function<void()> body);

}  // namespace assay::internal
