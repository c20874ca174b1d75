// The door of libresidua_commands.

#include "app/commands.h"
#include "app/version.h"

extern "C" const residua::app::CommandTable* residua_command_table() {
  using namespace residua::app;
  static const CommandTable table{
      .version = kBuildVersion,
      .train = &train,
      .eval = &eval,
      .predict = &predict,
      .generate = &generate,
      .list = &list,
      .info = &info,
      .data = &data,
      .verify = &verify,
      .reproduce = &reproduce,
      .papers = &papers,
      .report = &report,
      .compare = &compare,
      .network = &network,
      .torchscript = &torchscript,
      .explain = &explain,
      .training_environment = &training_environment,
  };
  return &table;
}
