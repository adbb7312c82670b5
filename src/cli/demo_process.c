/* cli/demo_process.c: programs that the demonstration starts. */
#include "cli/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int spawn(const char *const *words, int input, const char *log, pid_t *out_process) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  int failed = posix_spawn_file_actions_init(&actions);
  if (failed != 0) return failed;
  failed = posix_spawnattr_init(&attributes);
  if (failed == 0) {
    failed = input < 0 ? posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
                       : posix_spawn_file_actions_adddup2(&actions, input, 0);
    if (failed == 0) failed = posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (failed == 0) failed = posix_spawn_file_actions_adddup2(&actions, 2, 1);
    if (failed == 0) failed = posix_spawnattr_setsigmask(&attributes, &none);
    if (failed == 0) failed = posix_spawnattr_setpgroup(&attributes, 0);
    if (failed == 0) failed = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    if (failed == 0) failed = posix_spawn(out_process, words[0], &actions, &attributes, (char *const *)words, environ);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return failed;
}

enum weir_code demo_spawn(const char *const *words, int input, const char *log, pid_t *out_process,
                          struct weir_error *error) {
  int failed = spawn(words, input, log, out_process);
  if (failed == 0) return WEIR_OK;
  *out_process = 0;
  return WR_FAIL(error, WEIR_NOT_FOUND, "%s cannot be started: %s", words[0], strerror(failed));
}

bool demo_has_ended(pid_t process, bool wait, int *out_exit_code) {
  int status = 0;
  pid_t found;
  do
    found = waitpid(process, &status, wait ? 0 : WNOHANG);
  while (found < 0 && errno == EINTR);
  if (found == 0) return false;
  *out_exit_code = found > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return true;
}
