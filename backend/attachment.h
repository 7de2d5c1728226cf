#pragma once

#include <cstdint>

namespace assay {

class Backend;

namespace internal {

/// What belongs to a backend and may be destroyed before it or after it: an event, a timer.
class Attachment {
 public:
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

 protected:
  explicit Attachment(Backend& backend);
  virtual ~Attachment();

  /// Null once the backend was destroyed.
  Backend* backend() const noexcept { return backend_; }
  /// The backend is being destroyed: leave it, and tell nobody.
  virtual void backend_gone() = 0;

 private:
  friend class assay::Backend;

  void detach() noexcept;

  Backend* backend_;
  // Among the backend's attachments.
  std::uint32_t place_;
};

}  // namespace internal
}  // namespace assay
