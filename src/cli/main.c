/* cli/main.c: the program `weir`: finds the command and hands over. */
#include "base/text_distance.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const struct wr_command *const commands[] = {&wr_command_demo, &wr_command_check, &wr_command_version};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(void) {
  puts("weir: a stateful stream processor\n\nusage: weir COMMAND [ARGUMENT]...\n");
  for (int i = 0; i < COMMAND_COUNT; i++)
    printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
  puts("\nweir COMMAND --help tells more about a command.");
}

static void print_command_help(const struct wr_command *command) {
  const char *blank = command->usage[0] == 0 ? "" : " ";
  printf("weir %s: %s\n\nusage: weir %s%s%s\n", command->name, command->summary, command->name, blank, command->usage);
  if (command->help[0] != 0) printf("\n%s", command->help);
}

static int fail_unknown(const char *name) {
  const char *nearest = commands[0]->name;
  for (int i = 1; i < COMMAND_COUNT; i++)
    if (wr_text_distance(name, commands[i]->name) < wr_text_distance(name, nearest)) nearest = commands[i]->name;
  if (wr_text_distance(name, nearest) <= 2)
    fprintf(stderr, "weir: there is no command %s; did you mean weir %s?\n", name, nearest);
  else
    fprintf(stderr, "weir: there is no command %s; weir --help lists all\n", name);
  return WR_EXIT_USAGE;
}

static int run_command(const struct wr_command *command, int argc, char **argv) {
  for (int i = 0; i < argc; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      print_command_help(command);
      return 0;
    }
  return command->run(argc, argv);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fputs("weir: a command is needed; weir --help lists all\n", stderr);
    return WR_EXIT_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
    print_help();
    return 0;
  }
  if (strcmp(argv[1], "--version") == 0) return wr_command_version.run(0, NULL);
  for (int i = 0; i < COMMAND_COUNT; i++)
    if (strcmp(argv[1], commands[i]->name) == 0) return run_command(commands[i], argc - 2, argv + 2);
  return fail_unknown(argv[1]);
}
