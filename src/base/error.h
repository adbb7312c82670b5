/* base/error.h: how weir's own code raises and passes on errors (the values are in weir/error.h). Any thread. */
#ifndef WR_BASE_ERROR_H
#define WR_BASE_ERROR_H

#include "weir/error.h"

#include <stddef.h>

/* Fills `error` (may be NULL) and returns `code`. Use WR_FAIL, which records the place. */
__attribute__((format(printf, 5, 6), cold)) enum weir_code
wr_error_raise(struct weir_error *error, enum weir_code code, const char *file, int line, const char *format, ...);

/* Puts "context: " in front of the message of an error that a callee raised, and returns its code. */
__attribute__((format(printf, 2, 3), cold)) enum weir_code wr_error_prefix(struct weir_error *error, const char *format,
                                                                           ...);

/* Raises an error here: return WR_FAIL(error, WEIR_CORRUPT, "%s: block %u: ...", path, block); */
#define WR_FAIL(error, code, ...) wr_error_raise((error), (code), __FILE__, __LINE__, __VA_ARGS__)

/* Passes a callee's error on. */
#define WR_TRY(expression)                                                                                             \
  do {                                                                                                                 \
    enum weir_code wr_try_code = (expression);                                                                         \
    if (wr_try_code != WEIR_OK) return wr_try_code;                                                                    \
  } while (0)

/* As WR_TRY for a function that holds something: goes to its one clean-up label; `code` is the function's result. */
#define WR_TRY_GOTO(code, label, expression)                                                                           \
  do {                                                                                                                 \
    (code) = (expression);                                                                                             \
    if ((code) != WEIR_OK) goto label;                                                                                 \
  } while (0)

/* A condition that only a bug of weir can break. Stays on in every build: stopping is better than being wrong. */
#define WR_ASSERT(condition) ((condition) ? (void)0 : wr_assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void wr_assert_failed(const char *condition, const char *file, int line);

#endif
