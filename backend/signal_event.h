#pragma once

#include "assay/backend/attachment.h"
#include "assay/backend/result.h"
#include "assay/backend/unique_function.h"

namespace assay {

namespace internal {
class SignalSource;
}

/// Calls back, on the loop's thread, for each time a signal reaches the process. Stays until it is removed.
///
/// Any number of loops and events may listen to one signal; all are told, as often as the kernel delivered it (which
/// merges those that come while one waits already). The handler is installed with SA_RESTART when the first event of
/// the process is added, and the previous disposition restored when the last is removed. An added event keeps the loop
/// alive. Belongs to the loop's thread; may be removed and destroyed at any point, by its own callback too.
class SignalEvent final : private internal::Attachment {
 public:
  SignalEvent(Backend& backend, int signal, UniqueFunction<void(int signal)> callback)
      : Attachment(backend), signal_(signal), callback_(std::move(callback)) {}
  ~SignalEvent() override;

  /// Adding one that is added is harmless. EINVAL for a signal that does not exist or cannot be caught, ECANCELED when
  /// the backend is gone.
  Result<void> add();
  /// ENOENT, and no harm, when it was not added.
  Result<void> remove();
  bool added() const noexcept { return added_; }
  int signal() const noexcept { return signal_; }

 private:
  friend class internal::SignalSource;

  void backend_gone() override { (void)remove(); }

  const int signal_;
  bool added_ = false;
  internal::OwnedCallback<int> callback_;
};

}  // namespace assay
