/* cli/cli.h: the commands of the program `weir`. A command gets what stands behind its name, prints its results to
 * standard output and errors to standard error, and returns the exit code. One file a command, named after it. */
#ifndef WR_CLI_CLI_H
#define WR_CLI_CLI_H

struct wr_command {
  const char *name;
  const char *usage;                 /* after "weir NAME " */
  const char *summary;               /* a line */
  const char *help;                  /* what --help says below that; may be "" */
  int (*run)(int argc, char **argv); /* argv[0] is the first word after the name */
};

extern const struct wr_command wr_command_demo;
extern const struct wr_command wr_command_check;
extern const struct wr_command wr_command_version;

enum { WR_EXIT_USAGE = 2 };

#endif
