// The command line: options, help, exit codes. Everything else lives in the commands.
#pragma once

namespace npuport::app {

// main() without the process: parses, runs one command, prints its result on stdout and messages on stderr.
int run_cli(int argc, char** argv);

}  // namespace npuport::app
