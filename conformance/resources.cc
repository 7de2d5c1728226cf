#include "assay/conformance/resources.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <sstream>
#include <string_view>

namespace assay::conformance {
namespace {

std::map<int, std::string> open_fds() {
  std::map<int, std::string> fds;
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return fds;
  const int own = ::dirfd(folder);
  while (const dirent* entry = ::readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    const int fd = std::atoi(entry->d_name);
    if (fd == own) continue;
    char target[PATH_MAX];
    const ssize_t length = ::readlinkat(own, entry->d_name, target, sizeof target);
    std::string_view name(target, length < 0 ? 0 : static_cast<std::size_t>(length));
    // Whoever started this program may remove a file that it left open here, its log say, at any time.
    constexpr std::string_view kDeleted = " (deleted)";
    if (name.ends_with(kDeleted)) name.remove_suffix(kDeleted.size());
    fds.emplace(fd, name);
  }
  ::closedir(folder);
  return fds;
}

/// The whole of a file of proc(5), which has no size to ask for.
std::string read_all(const char* path) {
  std::string text;
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char block[16384];
  for (ssize_t count = 0; (count = ::read(fd, block, sizeof block)) > 0;) {
    text.append(block, static_cast<std::size_t>(count));
  }
  ::close(fd);
  return text;
}

/// Runs twice a test, so it looks closer only at lines of the few mappings that are shared.
std::map<std::string, int> shared_mappings() {
  std::map<std::string, int> mappings;
  const std::string maps = read_all("/proc/self/maps");
  for (std::size_t begin = 0; begin < maps.size();) {
    const std::size_t end = std::min(maps.find('\n', begin), maps.size());
    const std::string_view line(maps.data() + begin, end - begin);
    begin = end + 1;
    // "address-address rw-s offset device inode    path"
    const std::size_t permissions = line.find(' ') + 1;
    if (permissions + 3 >= line.size() || line[permissions + 3] != 's') continue;
    const std::size_t path = line.find_first_of("/[", permissions);
    ++mappings[std::string(path == std::string_view::npos ? std::string_view() : line.substr(path))];
  }
  return mappings;
}

}  // namespace

Resources held_resources() { return {open_fds(), shared_mappings()}; }

std::string resource_difference(const Resources& before, const Resources& after) {
  std::ostringstream text;
  for (const auto& [fd, target] : after.fds) {
    const auto held = before.fds.find(fd);
    if (held == before.fds.end()) {
      text << "fd " << fd << " was left open: " << target << '\n';
    } else if (held->second != target) {
      text << "fd " << fd << " was " << held->second << " and is now " << target << '\n';
    }
  }
  for (const auto& [fd, target] : before.fds) {
    if (!after.fds.contains(fd)) text << "fd " << fd << " was closed: " << target << '\n';
  }
  for (const auto& [path, count] : after.mappings) {
    const auto held = before.mappings.find(path);
    const int more = count - (held == before.mappings.end() ? 0 : held->second);
    if (more > 0) text << more << " shared mapping(s) left over of " << path << '\n';
  }
  return text.str();
}

}  // namespace assay::conformance
