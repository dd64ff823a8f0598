#include "halftone/tasks/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "halftone/base/error.h"

extern char** environ;

namespace halftone::tasks {
namespace {

struct Pipe {
  std::array<int, 2> ends{-1, -1};  // read, write
  Pipe() {
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw Error(std::string("pipe: ") + strerror(errno));
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_end(std::size_t end) {
    if (ends[end] >= 0) ::close(ends[end]);
    ends[end] = -1;
  }
};

// Appends what the pipe has; false at its end.
bool drain(int descriptor, std::string& text) {
  std::array<char, 4096> buffer;
  const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
  if (count < 0) return errno == EINTR;
  text.append(buffer.data(), static_cast<std::size_t>(count));
  return count > 0;
}

void collect(Pipe& out, Pipe& err, ChildOutput& result) {
  out.close_end(1);
  err.close_end(1);
  bool open_out = true, open_err = true;
  while (open_out || open_err) {
    pollfd waiting[2] = {{open_out ? out.ends[0] : -1, POLLIN, 0},
                         {open_err ? err.ends[0] : -1, POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0 && errno != EINTR) break;
    if (waiting[0].revents) open_out = drain(out.ends[0], result.out);
    if (waiting[1].revents) open_err = drain(err.ends[0], result.err);
  }
}

pid_t start(const std::filesystem::path& program, const std::vector<std::string>& arguments,
            const Pipe& out, const Pipe& err) {
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.ends[1], STDERR_FILENO);
  pid_t child = -1;
  const int failure = posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure) throw Error(program.string() + ": cannot start (" + strerror(failure) + ")");
  return child;
}

}  // namespace

ChildOutput run_child(const std::filesystem::path& program,
                      const std::vector<std::string>& arguments) {
  Pipe out, err;
  const pid_t child = start(program, arguments, out, err);
  ChildOutput result;
  collect(out, err, result);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

std::filesystem::path this_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

}  // namespace halftone::tasks
