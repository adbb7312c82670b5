/* cli/version.c: weir version. */
#include "cli/cli.h"

#include "weir/weir.h"

#include <stdio.h>

static int run(int argc, char **argv) {
  (void)argc;
  (void)argv;
  printf("weir %s\n", weir_version());
  return 0;
}

const struct wr_command wr_command_version = {
    .name = "version", .usage = "", .summary = "prints the version", .help = "", .run = run};
