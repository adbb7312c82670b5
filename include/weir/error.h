/* weir/error.h: errors as values.
 *
 * Every function of weir that can fail returns an `enum weir_code` (0 is success) and takes, as its last argument, a
 * `struct weir_error *` that it fills when it fails. The argument may be NULL when only the code matters. The struct is
 * the caller's (on the stack, or in another struct) and needs no release.
 *
 * A code tells the caller what to do next: its class says whether the same call can work later (transient: a restart
 * from the last checkpoint is worth trying) or never will (permanent), and its exit code is what a program should end
 * with. Both are columns of the one table below. Any thread.
 */
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, text, exit code, transient) */
#define WEIR_CODES(X)                                                                                                  \
  X(OK, "ok", 0, 0)                                                                                                    \
  X(NO_MEMORY, "out of memory", 1, 0)                                                                                  \
  X(BAD_RECORD, "bad record", 1, 0)                                                                                    \
  X(OPERATOR, "operator failed", 1, 0)                                                                                 \
  X(CHECKPOINT_FAILED, "the last checkpoint failed", 1, 0)                                                             \
  X(LIMIT, "limit exceeded", 1, 0)                                                                                     \
  X(CANCELLED, "cancelled", 1, 0)                                                                                      \
  X(INTERNAL, "internal error", 1, 0)                                                                                  \
  X(INVALID, "invalid argument", 2, 0)                                                                                 \
  X(IN_USE, "in use by another process", 2, 0)                                                                         \
  X(CORRUPT, "damaged", 3, 0)                                                                                          \
  X(FOREIGN, "belongs to another job", 3, 0)                                                                           \
  X(NEWER, "written by a newer version", 3, 0)                                                                         \
  X(REFUSED, "refused", 3, 0)                                                                                          \
  X(FENCED, "fenced by a later start", 3, 0)                                                                           \
  X(NOT_FOUND, "not found", 4, 0)                                                                                      \
  X(GONE, "source data vanished, shrank or was replaced", 4, 0)                                                        \
  X(CONSTRAINT, "constraint violated", 4, 0)                                                                           \
  X(DENIED, "permission denied", 4, 0)                                                                                 \
  X(COMMIT_WAITS, "commits wait", 4, 0)                                                                                \
  X(IO, "input/output error", 4, 1)                                                                                    \
  X(NO_SPACE, "no space left", 4, 1)                                                                                   \
  X(BUSY, "busy", 4, 1)                                                                                                \
  X(TIMEOUT, "timed out", 4, 1)

enum weir_code {
#define WEIR_CODE_ENUM(name, text, exit_code, transient) WEIR_##name,
  WEIR_CODES(WEIR_CODE_ENUM)
#undef WEIR_CODE_ENUM
};

enum { WEIR_ERROR_MESSAGE_BYTES = 1024 };

/* Where an error was born, and the sentence for the person who has to act on it: what happened, to what (file, line and
 * column; or table, option, record and offset), and what to do. */
struct weir_error {
  enum weir_code code;
  int line;         /* of `file` */
  const char *file; /* source file of weir that raised it; static storage */
  char message[WEIR_ERROR_MESSAGE_BYTES];
};

/* Fills `error` (may be NULL) with `code` and a sentence, as printf makes it, and returns `code`:
 *
 * ```c
 * int64_t amount = weir_batch_bigint(batch, 0, 0);
 * if (amount < 0) return weir_fail(error, WEIR_OPERATOR, "an amount is negative: %lld", (long long)amount);
 * ```
 */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
enum weir_code
weir_fail(struct weir_error *error, enum weir_code code, const char *format, ...);

/* The short text of a code, static storage. */
const char *weir_code_text(enum weir_code code);
/* The exit code of a program that ends with this code. */
int weir_code_exit(enum weir_code code);
/* True when trying again later, from the last checkpoint, can succeed. */
bool weir_code_is_transient(enum weir_code code);

#ifdef __cplusplus
}
#endif

#endif
