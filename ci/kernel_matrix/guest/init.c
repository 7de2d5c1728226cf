// Process 1 of a matrix guest: mounts what a program expects to find, runs one program under a time limit, and tells
// the host over the second serial port what became of it.
//
// The port carries frames (see frames.py for the other end): 4 bytes of magic, the kind and 3 zero bytes, the payload's
// length, the CRC-32 of kind and payload, both little-endian, then the payload. Kinds:
//
//   H  init runs                     key=value lines: boot_ns
//   O  the program's standard output, as it comes
//   E  the program's standard error, as it comes
//   T  the time limit has passed     what each process was doing, as text
//   X  the program ended             key=value lines: exit, signal, timed_out, unkillable, run_ns, user_us, system_us,
//                                    max_rss_kib
//   F  a file follows                its path
//   D  the file's next bytes
//   C  the file is complete          its size in bytes, as text
//   M  a file was asked for and cannot be read   path, a zero byte, the reason
//   L  the kernel's log, next part
//   Z  all has been said             the number of frames before this one, as text
//
// What to do stands in /assay/orders: zero-terminated strings, the first character of each its kind:
//
//   A  argument (the first is the program)      W  working directory     E  NAME=VALUE for the environment
//   S  seconds that the program may run         B  file to bring back    J  file to bring back if it is there
//
// Without an A, init only says that it runs. It is linked statically and asks nothing of the guest but the kernel.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { kMaxOrders = 1024, kChunkBytes = 32768 };

static int port = -1;
static unsigned frames_sent;
static char chunk[kChunkBytes];

static char* orders[kMaxOrders];
static int order_count;

static int64_t now_ns(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

// Goes on from `crc`, which is ~0 at first and is inverted at last.
static uint32_t crc32(uint32_t crc, const char* data, size_t size) {
  static uint32_t table[256];
  if (table[1] == 0) {
    for (uint32_t byte = 0; byte < 256; byte++) {
      uint32_t value = byte;
      for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
      table[byte] = value;
    }
  }
  for (size_t at = 0; at < size; at++) crc = table[(crc ^ (uint8_t)data[at]) & 0xff] ^ crc >> 8;
  return crc;
}

static void write_all(const void* data, size_t size) {
  const char* at = data;
  while (size > 0) {
    ssize_t written = write(port, at, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    at += written;
    size -= (size_t)written;
  }
}

static void send_frame(char kind, const char* data, size_t size) {
  struct {
    char magic[4];
    char kind[4];
    uint32_t size;
    uint32_t crc;
  } header = {{(char)0xa5, 'A', 's', 'y'}, {kind, 0, 0, 0}, (uint32_t)size, 0};
  header.crc = ~crc32(crc32(~0u, header.kind, sizeof header.kind), data, size);
  write_all(&header, sizeof header);
  write_all(data, size);
  frames_sent++;
}

__attribute__((format(printf, 2, 3))) static void send_text(char kind, const char* format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (size >= (int)sizeof text) size = sizeof text - 1;
  send_frame(kind, text, (size_t)size);
}

static void write_file(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t ignored = write(fd, text, strlen(text));
  (void)ignored;
  close(fd);
}

static void mount_at(const char* type, const char* path, unsigned long flags) {
  mkdir(path, 0755);
  mount(type, path, type, flags, NULL);
}

// Some kernels bring neither the loopback interface up nor anything below /dev beyond the devices.
static void prepare_system(void) {
  mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  mount_at("devtmpfs", "/dev", MS_NOSUID);
  mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC);
  mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV);
  chmod("/dev/shm", 01777);
  mount_at("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  mount_at("debugfs", "/sys/kernel/debug", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  mount_at("tracefs", "/sys/kernel/tracing", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  int ignored = symlink("/proc/self/fd", "/dev/fd");
  ignored |= symlink("/proc/self/fd/0", "/dev/stdin");
  ignored |= symlink("/proc/self/fd/1", "/dev/stdout");
  ignored |= symlink("/proc/self/fd/2", "/dev/stderr");
  (void)ignored;
  sethostname("guest", 5);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq loopback = {.ifr_name = "lo"};
  if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &loopback) == 0) {
    loopback.ifr_flags |= IFF_UP;
    ioctl(fd, SIOCSIFFLAGS, &loopback);
  }
  if (fd >= 0) close(fd);
  // The limits that a login gives; the kernel's own for process 1 are 1024 and 4096.
  struct rlimit files = {1024, 1048576};
  setrlimit(RLIMIT_NOFILE, &files);
  write_file("/proc/sys/kernel/core_pattern", "core");
}

// The port is a terminal, and a terminal rewrites newlines and echoes unless told not to.
static void open_port(void) {
  port = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC);
  struct termios mode;
  if (port < 0 || tcgetattr(port, &mode) != 0) return;
  cfmakeraw(&mode);
  cfsetspeed(&mode, B115200);
  tcsetattr(port, TCSANOW, &mode);
}

static void read_orders(void) {
  int fd = open("/assay/orders", O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) return;
  char* text = calloc(1, (size_t)status.st_size + 1);
  off_t size = 0;
  for (ssize_t got; text && (got = read(fd, text + size, (size_t)(status.st_size - size))) > 0;) size += got;
  close(fd);
  for (char* at = text; at < text + size && order_count < kMaxOrders; at += strlen(at) + 1) orders[order_count++] = at;
}

// The orders of one kind, without that character, ended by NULL.
static char** orders_of(char kind) {
  char** found = calloc((size_t)order_count + 1, sizeof *found);
  int count = 0;
  for (int i = 0; i < order_count; i++)
    if (orders[i][0] == kind) found[count++] = orders[i] + 1;
  return found;
}

static char* order_of(char kind) { return orders_of(kind)[0]; }

// Appends a small file of /proc to the stack report, each line indented.
static void append_file(FILE* report, const char* path, const char* title) {
  FILE* file = fopen(path, "re");
  if (!file) return;
  char line[512];
  fprintf(report, "  %s:\n", title);
  while (fgets(line, sizeof line, file)) fprintf(report, "    %s%s", line, strchr(line, '\n') ? "" : "\n");
  fclose(file);
}

// Says of each thread of each program what it is called, where in the kernel it stands, and in which system call.
static void report_threads(void) {
  char* text = NULL;
  size_t size = 0;
  FILE* report = open_memstream(&text, &size);
  DIR* processes = opendir("/proc");
  for (struct dirent* process; processes && (process = readdir(processes));) {
    int pid = atoi(process->d_name);
    char path[320], exe[8];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (pid <= 1 || readlink(path, exe, sizeof exe) < 0) continue;  // Kernel threads run no file.
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR* threads = opendir(path);
    for (struct dirent* thread; threads && (thread = readdir(threads));) {
      int tid = atoi(thread->d_name);
      if (tid <= 0) continue;
      fprintf(report, "process %d, thread %d\n", pid, tid);
      static const char* const kFiles[] = {"comm", "wchan", "syscall", "stack"};
      for (size_t i = 0; i < sizeof kFiles / sizeof *kFiles; i++) {
        snprintf(path, sizeof path, "/proc/%d/task/%d/%s", pid, tid, kFiles[i]);
        append_file(report, path, kFiles[i]);
      }
    }
    if (threads) closedir(threads);
  }
  if (processes) closedir(processes);
  fclose(report);
  for (size_t at = 0; at < size; at += kChunkBytes)
    send_frame('T', text + at, size - at < kChunkBytes ? size - at : kChunkBytes);
  if (size == 0) send_frame('T', "", 0);
  free(text);
}

// Passes on what a pipe holds now; closes it at its end.
static void forward(int* fd, char kind) {
  while (*fd >= 0) {
    ssize_t got = read(*fd, chunk, sizeof chunk);
    if (got > 0) {
      send_frame(kind, chunk, (size_t)got);
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    close(*fd);
    *fd = -1;
  }
}

static _Noreturn void become_program(char** arguments, char** environment, const char* folder, int out, int err) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  int in = open("/dev/null", O_RDONLY);
  dup2(in, 0);
  dup2(out, 1);
  dup2(err, 2);
  if (in > 2) close(in);
  if (folder && chdir(folder) != 0) dprintf(2, "init: chdir %s: %s\n", folder, strerror(errno));
  execve(arguments[0], arguments, environment);
  dprintf(2, "init: exec %s: %s\n", arguments[0], strerror(errno));
  _exit(127);
}

struct ending {
  bool known;  // The program has been reaped.
  int status;
  struct rusage usage;
};

// Reaps whoever has ended; process 1 is everybody's last parent.
static void reap(pid_t program, struct ending* ending) {
  int status;
  struct rusage usage;
  for (pid_t pid; (pid = wait4(-1, &status, WNOHANG, &usage)) > 0;)
    if (pid == program) *ending = (struct ending){true, status, usage};
}

static void run_program(char** arguments) {
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) return;
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  int ended = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);

  const char* seconds = order_of('S');
  // What stands below this line in the kernel's log is the program's doing.
  write_file("/dev/kmsg", "<5>assay: the program starts\n");
  int64_t start = now_ns(CLOCK_MONOTONIC);
  int64_t deadline = start + (seconds ? atoll(seconds) : 60) * 1000000000LL;
  pid_t program = fork();
  if (program == 0) become_program(arguments, orders_of('E'), order_of('W'), out[1], err[1]);
  close(out[1]);
  close(err[1]);
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  fcntl(err[0], F_SETFL, O_NONBLOCK);

  struct ending ending = {0};
  bool timed_out = false;
  while (!ending.known) {
    int64_t left_ns = deadline - now_ns(CLOCK_MONOTONIC);
    if (left_ns <= 0) {
      if (timed_out) break;  // Not even SIGKILL ends it.
      timed_out = true;
      report_threads();
      write_file("/proc/sysrq-trigger", "w");
      kill(-1, SIGKILL);
      deadline = now_ns(CLOCK_MONOTONIC) + 10000000000LL;
      continue;
    }
    struct pollfd ready[] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}, {ended, POLLIN, 0}};
    poll(ready, 3, (int)(left_ns / 1000000 + 1));
    struct signalfd_siginfo dropped;
    while (read(ended, &dropped, sizeof dropped) > 0) continue;
    forward(&out[0], 'O');
    forward(&err[0], 'E');
    reap(program, &ending);
  }
  int64_t run_ns = now_ns(CLOCK_MONOTONIC) - start;
  kill(-1, SIGKILL);
  forward(&out[0], 'O');
  forward(&err[0], 'E');
  send_text('X',
            "exit=%d\nsignal=%d\ntimed_out=%d\nunkillable=%d\nrun_ns=%lld\nuser_us=%lld\nsystem_us=%lld\n"
            "max_rss_kib=%ld\n",
            ending.known && WIFEXITED(ending.status) ? WEXITSTATUS(ending.status) : -1,
            ending.known && WIFSIGNALED(ending.status) ? WTERMSIG(ending.status) : 0, timed_out, !ending.known,
            (long long)run_ns, ending.usage.ru_utime.tv_sec * 1000000LL + ending.usage.ru_utime.tv_usec,
            ending.usage.ru_stime.tv_sec * 1000000LL + ending.usage.ru_stime.tv_usec, ending.usage.ru_maxrss);
}

static void bring_back(const char* path, bool required) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status;
  if (fd >= 0 && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
    close(fd);
    fd = -1;
    errno = EISDIR;
  }
  if (fd < 0) {
    if (!required && errno == ENOENT) return;
    char text[4200];
    int size = snprintf(text, sizeof text, "%s%c%s", path, 0, strerror(errno));
    send_frame('M', text, (size_t)size);
    return;
  }
  send_frame('F', path, strlen(path));
  long long total = 0;
  for (ssize_t got; (got = read(fd, chunk, sizeof chunk)) > 0; total += got) send_frame('D', chunk, (size_t)got);
  send_text('C', "%lld", total);
  close(fd);
}

static void send_kernel_log(void) {
  enum { kReadAll = 3, kBufferSize = 10 };
  int size = klogctl(kBufferSize, NULL, 0);
  char* log = size > 0 ? malloc((size_t)size) : NULL;
  int got = log ? klogctl(kReadAll, log, size) : 0;
  for (int at = 0; at < got; at += kChunkBytes)
    send_frame('L', log + at, got - at < kChunkBytes ? (size_t)(got - at) : kChunkBytes);
  free(log);
}

int main(void) {
  int64_t boot_ns = now_ns(CLOCK_BOOTTIME);
  prepare_system();
  open_port();
  read_orders();
  send_text('H', "boot_ns=%lld\n", (long long)boot_ns);
  char** arguments = orders_of('A');
  if (arguments[0]) {
    enum { kConsoleLevel = 8 };
    klogctl(kConsoleLevel, NULL, 8);  // From here on the console shows every line, for a kernel that dies.
    run_program(arguments);
    for (char** path = orders_of('B'); *path; path++) bring_back(*path, true);
    for (char** path = orders_of('J'); *path; path++) bring_back(*path, false);
    send_kernel_log();
  }
  send_text('Z', "%u", frames_sent);
  tcdrain(port);
  // QEMU is told to end when the guest restarts: that needs less of a kernel than switching off.
  reboot(RB_AUTOBOOT);
  return 0;
}
