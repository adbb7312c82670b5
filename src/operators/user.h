/* operators/user.h: runs an operator of a user's program (weir/operator.h) as an operator of the runtime. */
#ifndef WR_OPERATORS_USER_H
#define WR_OPERATORS_USER_H

#include "runtime/operator.h"
#include "weir/operator.h"

/* INVALID, with a sentence: what can be said of a definition before it runs. */
enum weir_code wr_user_check(const struct weir_operator_definition *definition, struct weir_error *error);
/* `definition` was checked and outlives the operator. */
enum weir_code wr_user_new(const struct weir_operator_definition *definition, struct wr_operator_context *context,
                           struct wr_operator **out_operator, struct weir_error *error);

#endif
