/* os/test_library.c: a library that is there, one that is not, and one that is too old. */
#include "base/test.h"
#include "os/library.h"

TEST(loading) {
  static const char *const names[] = {"cos", "floor"}, *const newer[] = {"cos", "not_yet_invented"};
  struct {
    double (*cos)(double), (*floor)(double);
  } functions;
  struct weir_error error;
  CHECK_INT(wr_library_load("libm.so.6", "libc6", names, 2, &functions, &error), WEIR_OK);
  CHECK(functions.cos(0) == 1 && functions.floor(2.5) == 2);
  CHECK_INT(wr_library_load("libm.so.6", "libc6", newer, 2, &functions, &error), WEIR_NOT_FOUND);
  CHECK_STRING(error.message, "the library libm.so.6 has no function not_yet_invented; it is too old, install a newer "
                              "one: apt-get install libc6");
  CHECK_INT(wr_library_load("libnowhere.so.7", "libnowhere7", names, 2, &functions, &error), WEIR_NOT_FOUND);
  CHECK(strstr(error.message, "the library libnowhere.so.7 cannot be loaded (") != NULL);
  CHECK(strstr(error.message, "); install it with: apt-get install libnowhere7") != NULL);
  CHECK_INT(weir_code_exit(error.code), 4);
}

TEST_MAIN(TEST_CASE(loading))
