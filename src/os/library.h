/* os/library.h: shared libraries that are loaded when they are first needed, so that weir runs where they are missing.
 *
 * A user lists the functions that it calls in an X-macro, makes a struct of pointers of it, in that order, and an array
 * of their names. A library stays loaded until the process ends: its own threads and exit handlers may outlive its
 * user. Any thread.
 */
#ifndef WR_OS_LIBRARY_H
#define WR_OS_LIBRARY_H

#include "base/error.h"

/* Fills `functions`, an array of `count` pointers, by `names`. NOT_FOUND (exit code 4: what it is needed for, a source
 * or sink, cannot be reached): the library is not there, or has no function of one of these names; the sentence has the
 * command that installs `package`. */
enum weir_code wr_library_load(const char *file_name, const char *package, const char *const *names, size_t count,
                               void *functions, struct weir_error *error);

#endif
