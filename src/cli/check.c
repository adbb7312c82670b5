/* cli/check.c: weir check DIR. */
#include "cli/cli.h"

#include "checkpoint/check.h"
#include "os/posix_files.h"

#include <stdio.h>

static void print_line(void *argument, const char *text) {
  (void)argument;
  puts(text);
}

static int run(int argc, char **argv) {
  if (argc != 1) {
    fputs("weir check: one folder is needed: weir check DIR\n", stderr);
    return WR_EXIT_USAGE;
  }
  struct wr_heap_memory heap;
  struct wr_posix_files posix;
  struct weir_error error = {.code = WEIR_OK};
  wr_heap_memory_init(&heap, 0);
  wr_posix_files_init(&posix, &heap.memory);
  enum weir_code code = wr_check_folder(&posix.files, &heap.memory, argv[0], print_line, NULL, &error);
  fflush(stdout);
  if (code == WEIR_OK) return 0;
  fprintf(stderr, "weir check: %s\n", error.message);
  return code == WEIR_NOT_FOUND ? WR_EXIT_USAGE : weir_code_exit(code);
}

const struct wr_command wr_command_check = {
    .name = "check",
    .usage = "DIR",
    .summary = "proves the checkpoints in a job's folder sound, and shows what is in them",
    .help =
        "Reads every byte of every checkpoint in DIR and of every file that they name, and compares all checksums.\n"
        "Nothing is changed and no lock is taken, so it may be run while the job runs.\n\n"
        "Exit code: 0 all is sound; 2 there is no such folder; 3 something is damaged, or of a newer version.\n",
    .run = run,
};
