// The door of libresidua_commands.

#include "app/commands.h"
#include "app/version.h"

namespace residua::app {
__attribute__((weak)) int train(const TrainArguments&);
__attribute__((weak)) int eval(const EvalArguments&);
__attribute__((weak)) int predict(const PredictArguments&);
__attribute__((weak)) int list(const ListArguments&);
__attribute__((weak)) int info(const InfoArguments&);
__attribute__((weak)) int data(const DataArguments&);
__attribute__((weak)) int verify(const VerifyArguments&);
__attribute__((weak)) int explain(const HelpArguments&);
}  // namespace residua::app

extern "C" const residua::app::CommandTable* residua_command_table() {
  using namespace residua::app;
  static const CommandTable table{
      .version = kBuildVersion,
      .train = &train,
      .eval = &eval,
      .predict = &predict,
      .list = &list,
      .info = &info,
      .data = &data,
      .verify = &verify,
      .explain = &explain,
      .training_environment = &training_environment,
  };
  return &table;
}
