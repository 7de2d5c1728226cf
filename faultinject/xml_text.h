#pragma once

#include <string>
#include <string_view>

namespace assay::internal {

/// Text as XML can carry it, in attributes too: character references for what XML reserves and for line ends and tabs,
/// '?' for what it cannot carry at all. Bytes beyond ASCII are '?' as well, since they may be halves of a broken
/// sequence, which no reader accepts.
std::string xml_text(std::string_view text);

}  // namespace assay::internal
