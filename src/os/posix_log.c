/* os/posix_log.c: see posix_log.h. A line that cannot be written is dropped: there is nobody left to tell. */
#include "os/posix_log.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 2560 }; /* more than the longest text of base/log.c */

static void write_out(int descriptor, const char *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t count = write(descriptor, bytes + done, length - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    done += (size_t)count;
  }
}

static void line(struct wr_log *log, enum wr_log_level level, const char *text) {
  struct wr_posix_log *posix = (struct wr_posix_log *)log;
  int64_t now_ms = posix->clock->wall_ms(posix->clock);
  time_t seconds = (time_t)(now_ms / 1000);
  struct tm utc;
  gmtime_r(&seconds, &utc);
  char bytes[LINE_BYTES];
  size_t date_length = strftime(bytes, sizeof bytes, "%Y-%m-%dT%H:%M:%S", &utc);
  int length = snprintf(bytes + date_length, sizeof bytes - date_length, ".%03dZ %s %s", (int)(now_ms % 1000),
                        wr_log_level_text(level), text);
  if (length < 0) return;
  size_t end = date_length + (size_t)length;
  if (end > sizeof bytes - 1) end = sizeof bytes - 1;
  bytes[end] = '\n';
  write_out(posix->descriptor, bytes, end + 1);
}

void wr_posix_log_init(struct wr_posix_log *posix, struct wr_clock *clock, enum wr_log_level level) {
  *posix = (struct wr_posix_log){.log = {.line = line, .level = level}, .clock = clock, .descriptor = STDERR_FILENO};
}
