// A clock that ticks, and is stopped by a signal.

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>

#include "assay/backend/backend.h"
#include "assay/backend/linux_kernel.h"

using namespace std::chrono_literals;

int main() {
  auto made = assay::Backend::create(assay::LinuxKernel::instance());
  if (!made) {
    std::fprintf(stderr, "timers_and_signals: %s\n", made.error().message().c_str());
    return 1;
  }
  assay::Backend& backend = **made;

  int ticks = 0;
  assay::Timer tick(backend, [&] { std::printf("tick %d\n", ++ticks); });
  // An event may be removed by anybody's callback; the loop ends when nothing is left that could happen.
  assay::SignalEvent stop(backend, SIGUSR1, [&](int) {
    std::printf("stopped\n");
    (void)tick.stop();
    (void)stop.remove();
  });
  assay::Timer after_three(backend, [] { ::kill(::getpid(), SIGUSR1); });

  if (!tick.start_every(5ms) || !after_three.start_after(18ms) || !stop.add()) return 1;
  const auto status = backend.loop();
  if (!status) std::fprintf(stderr, "timers_and_signals: %s\n", status.error().message().c_str());
  return status ? 0 : 1;
}
