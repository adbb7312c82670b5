/* os/library.c: see library.h. */
#include "os/library.h"

#include <dlfcn.h>
#include <string.h>

enum weir_code wr_library_load(const char *file_name, const char *package, const char *const *names, size_t count,
                               void *functions, struct weir_error *error) {
  void *library = dlopen(file_name, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL)
    return WR_FAIL(error, WEIR_NOT_FOUND, "the library %s cannot be loaded (%s); install it with: apt-get install %s",
                   file_name, dlerror(), package);
  for (size_t i = 0; i < count; i++) {
    void *function = dlsym(library, names[i]);
    if (function == NULL)
      return WR_FAIL(error, WEIR_NOT_FOUND,
                     "the library %s has no function %s; it is too old, install a newer one: apt-get install %s",
                     file_name, names[i], package);
    memcpy((char *)functions + i * sizeof function, &function, sizeof function);
  }
  return WEIR_OK;
}
