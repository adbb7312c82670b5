/* api/program.c: a whole program around a job (weir_program_run). The program's one thread. */
#include "api/api_int.h"
#include "os/signals.h"

#include <inttypes.h>
#include <stdio.h>

enum { HELP_BYTES = 32 * 1024 };

static int report(const struct weir_program *program, enum weir_code code, const struct weir_error *error) {
  if (code != WEIR_OK) fprintf(stderr, "%s: %s\n", program->name, error->message);
  return weir_code_exit(code);
}

static enum weir_code parse(const struct weir_program *program, int argc, char **argv, struct weir_options *options,
                            bool *out_help, struct weir_error *error) {
  for (uint32_t i = 0; i < program->option_count; i++)
    WR_TRY(weir_options_add(options, &program->options[i], error));
  return weir_options_parse(options, argc, argv, out_help, error);
}

static void print_help(const struct weir_program *program, const struct weir_options *options) {
  char text[HELP_BYTES];
  size_t length = weir_options_help(options, program->name, program->summary, text, sizeof text);
  WR_ASSERT(length < sizeof text);
  fputs(text, stdout); /* tidy: stdout: --help is the program's result, not the job's */
}

static enum weir_code run_job(const struct weir_program *program, struct weir_job_builder *builder,
                              const struct weir_options *options, struct weir_error *error) {
  struct weir_job *job = NULL;
  program->build(builder, options);
  WR_TRY(weir_job_start(builder, options, &job, error));
  enum weir_code code = weir_job_run(job, WEIR_RUN_SIGNALS | WEIR_RUN_PROGRESS, error);
  struct weir_job_status status = {.size = sizeof status};
  weir_job_read_status(job, &status);
  if (code == WEIR_OK && status.was_finished)
    fprintf(stderr, "%s: this job came to its end in an earlier run; --fresh starts it over\n", program->name);
  if (status.rows_rejected > 0)
    fprintf(stderr,
            "%s: %" PRIu64 " rows were not taken by their table and are left out; they are in the files "
            "dead-letter.SINK.CHECKPOINT.ndjson of the job's folder\n",
            program->name, status.rows_rejected);
  weir_job_free(&job);
  return code;
}

/* The signals are blocked from the start, so that one that comes while the job is being started stops it too; one that
 * comes after its end changes nothing any more. */
static int run(const struct weir_program *program, int argc, char **argv, struct weir_options *options) {
  struct weir_error error = {.code = WEIR_OK};
  bool help = false;
  enum weir_code code = parse(program, argc, argv, options, &help, &error);
  if (code == WEIR_OK && help) {
    print_help(program, options);
    return 0;
  }
  struct weir_job_builder *builder = NULL;
  if (code == WEIR_OK) code = weir_job_builder_new(program->name, &builder, &error);
  if (code == WEIR_OK) {
    struct wr_signals signals;
    wr_signals_block(&signals);
    code = run_job(program, builder, options, &error);
    while (wr_signals_wait(0) != 0) {
    }
    wr_signals_restore(&signals);
  }
  weir_job_builder_free(&builder);
  return report(program, code, &error);
}

int weir_program_run(const struct weir_program *program, int argc, char **argv) {
  struct weir_options *options = NULL;
  struct weir_error error;
  if (program->size != sizeof *program) {
    (void)WR_FAIL(&error, WEIR_INVALID, "set the field `size` of struct weir_program to its sizeof");
    return report(program, WEIR_INVALID, &error);
  }
  enum weir_code code = weir_options_new(&options, &error);
  if (code != WEIR_OK) return report(program, code, &error);
  int exit_code = run(program, argc, argv, options);
  weir_options_free(&options);
  return exit_code;
}
