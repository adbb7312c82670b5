/* base/log.c: see log.h. Control characters are replaced, so that a record's bytes cannot break or forge a line. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_BYTES = 2048 };

void wr_log_write(struct wr_log *log, enum wr_log_level level, const char *format, ...) {
  if (log == NULL || level > log->level) return;
  char text[LINE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  for (char *c = text; *c != 0; c++)
    if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
  log->line(log, level, text);
}

const char *wr_log_level_text(enum wr_log_level level) {
  static const char *const texts[] = {"ERROR", "WARN", "INFO", "DEBUG"};
  return texts[level];
}
