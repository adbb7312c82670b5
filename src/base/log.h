/* base/log.h: log lines. The engine writes to a `struct wr_log` given at its start: standard error in production, the
 * trace in the simulator. One line, one event, whole sentences, no line break inside. Any thread. */
#ifndef WR_BASE_LOG_H
#define WR_BASE_LOG_H

enum wr_log_level { WR_LOG_ERROR, WR_LOG_WARN, WR_LOG_INFO, WR_LOG_DEBUG };

struct wr_log {
  void (*line)(struct wr_log *log, enum wr_log_level level, const char *text);
  enum wr_log_level level; /* lines above it are not made */
};

__attribute__((format(printf, 3, 4))) void wr_log_write(struct wr_log *log, enum wr_log_level level, const char *format,
                                                        ...);
const char *wr_log_level_text(enum wr_log_level level);

#endif
