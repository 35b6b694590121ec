#include "app/cli.h"

int main(int argc, char** argv) { return npuport::app::run_cli(argc, argv); }
