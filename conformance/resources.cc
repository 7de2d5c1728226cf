#include "assay/conformance/resources.h"

#include <dirent.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <fstream>
#include <sstream>

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
    fds.emplace(fd, length < 0 ? std::string() : std::string(target, static_cast<std::size_t>(length)));
  }
  ::closedir(folder);
  return fds;
}

std::map<std::string, int> shared_mappings() {
  std::map<std::string, int> mappings;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream fields(line);
    std::string range, permissions, offset, device, inode, path;
    fields >> range >> permissions >> offset >> device >> inode;
    std::getline(fields >> std::ws, path);
    if (permissions.size() == 4 && permissions[3] == 's') ++mappings[path];
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
