/* base/error.c: see error.h. No state; messages are cut, never overrun. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *text;
  int exit_code;
  bool transient;
} code_table[] = {
#define CODE_ROW(name, text, exit_code, transient) {text, exit_code, transient != 0},
    WEIR_CODES(CODE_ROW)
#undef CODE_ROW
};

const char *weir_code_text(enum weir_code code) {
  return code_table[code].text;
}

int weir_code_exit(enum weir_code code) {
  return code_table[code].exit_code;
}

bool weir_code_is_transient(enum weir_code code) {
  return code_table[code].transient;
}

enum weir_code wr_error_raise(struct weir_error *error, enum weir_code code, const char *file, int line,
                              const char *format, ...) {
  if (error != NULL) {
    error->code = code;
    error->file = file;
    error->line = line;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
  }
  return code;
}

enum weir_code wr_error_prefix(struct weir_error *error, const char *format, ...) {
  WR_ASSERT(error != NULL && error->code != WEIR_OK);
  char rest[WEIR_ERROR_MESSAGE_BYTES];
  memcpy(rest, error->message, sizeof rest);
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  if (length >= 0 && (size_t)length + 3 <= sizeof error->message) {
    /* A longer message is cut at the end; its beginning names the place. */
    char *end = error->message + length;
    size_t rest_length = strnlen(rest, sizeof error->message - (size_t)length - 3);
    memcpy(end, ": ", 2);
    memcpy(end + 2, rest, rest_length);
    end[2 + rest_length] = 0;
  }
  return error->code;
}

_Noreturn void wr_assert_failed(const char *condition, const char *file, int line) {
  fprintf(stderr, "weir: %s:%d: assertion failed: %s\n", file, line, condition);
  abort();
}
