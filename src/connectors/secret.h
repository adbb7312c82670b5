/* connectors/secret.h: which options hold secrets, and a secret from where it is kept: a file, or the environment. It
 * is read anew at each connection, so that it can be changed while a job runs, and is never in a message.
 *
 * A secret KEY may be given as KEY-file or KEY-env. A program may give KEY itself, the command line may not, for every
 * user of a machine can read it.
 */
#ifndef WR_CONNECTORS_SECRET_H
#define WR_CONNECTORS_SECRET_H

#include "os/seams.h"

enum { WR_SECRET_BYTES_MAX = 4096 };

/* Does the option of this name hold a secret? Pure. */
bool wr_secret_is_key(const char *key);
/* Is it KEY-file or KEY-env of a secret that a line can hold? *out_length: of KEY. Pure. */
bool wr_secret_is_way(const char *key, size_t *out_length, bool *out_is_file);

/* The first line of the file. It blocks; inside a call. `what` names the option in messages. `out` has room for
 * WR_SECRET_BYTES_MAX bytes. As wr_file_load. */
enum weir_code wr_secret_of_file(const char *path, const char *what, struct wr_seams *seams, struct wr_memory *memory,
                                 char *out, struct weir_error *error);
/* The value of the environment's variable `name`. NOT_FOUND: there is none. INVALID: it is too long. */
enum weir_code wr_secret_of_environment(const char *name, const char *what, char *out, struct weir_error *error);
/* Overwrites it, also where nobody looks at it any more. */
void wr_secret_forget(char *secret);

#endif
